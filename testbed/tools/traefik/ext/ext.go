// Package ext has the fields by which Traefik's vendor extends its configuration: none. It is a module of its own in
// Traefik's repository, so it is not in the sources of Traefik's module.
package ext

// HTTP extends the configuration of HTTP.
type HTTP struct{}

// Router extends the configuration of a router.
type Router struct{}
