// The CoreDNS server with the plugins of a cluster's Corefile and no others: fewer plugins, a shorter build.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/reload"
)

// The order in which upstream's plugin.cfg runs them.
func init() {
	dnsserver.Directives = []string{"reload", "health", "ready", "errors", "cache", "loadbalance", "hosts", "kubernetes", "forward"}
}

func main() { coremain.Run() }
