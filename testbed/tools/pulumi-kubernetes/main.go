// Pulumi's own Kubernetes provider, from its Go module. Both JSON files are the module's, as in its own main.go,
// whose generator adds the version to the schema and takes out white space.
package main

import (
	_ "embed"
	"slices"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version"
)

//go:embed schema.json
var schema []byte

//go:embed terraform-mapping.json
var mapping []byte

func main() {
	versioned := slices.Concat([]byte(`{"version": "`+version.Version+`",`), schema[1:])
	provider.Serve("kubernetes", version.Version, versioned, mapping)
}
