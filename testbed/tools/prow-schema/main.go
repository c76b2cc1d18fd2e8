// Command prow-schema prints JSON Schemas of the files that Prow reads (config.yaml, job files, plugins.yaml) and the
// names of its plugins, from Prow's own Go types. Its output is prowconfig/schema.json.
//
// A general generator (github.com/invopop/jsonschema) does not fit: what Prow accepts is decided by
// sigs.k8s.io/yaml as much as by the types. It turns a number or boolean into text where the Go field is a string, but
// not below an embedded struct nor below a type that decodes itself (yaml.go, convertToJSONableObject: "jtf :=
// t.Field(f.index[0])" names the embedded struct). So `interval: 10` is taken for text and `branches: [1.10]` is refused.
// null is accepted everywhere, as in Go; the schemas leave that to the reader.
package main

import (
	"bytes"
	"encoding"
	"encoding/json"
	"os"
	"path"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	pipelinev1beta1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1beta1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	prowapi "sigs.k8s.io/prow/pkg/apis/prowjobs/v1"
	"sigs.k8s.io/prow/pkg/config"
	_ "sigs.k8s.io/prow/pkg/hook/plugin-imports"
	"sigs.k8s.io/prow/pkg/plugins"
)

type schema = map[string]any

var (
	anything = schema{}
	text     = schema{"type": "string"}
	scalar   = schema{"type": []string{"string", "number", "boolean"}}

	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// The pattern that Kubernetes' own CRDs carry for a quantity.
const quantity = `^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$`

// Types that decode themselves, as what they accept.
var known = map[reflect.Type]schema{
	reflect.TypeFor[metav1.Duration]():    {"type": "string", "format": "duration"},
	reflect.TypeFor[prowapi.Duration]():   {"type": []string{"string", "integer"}, "format": "duration"},
	reflect.TypeFor[resource.Quantity]():  {"type": []string{"string", "number"}, "pattern": quantity},
	reflect.TypeFor[intstr.IntOrString](): {"type": []string{"string", "integer"}},
	reflect.TypeFor[time.Time]():          {"type": "string", "format": "date-time"},
	reflect.TypeFor[metav1.Time]():        {"type": "string", "format": "date-time"},
	reflect.TypeFor[json.RawMessage]():    anything,
	// One merge method for an organization, or by repository, or by repository and branch.
	reflect.TypeFor[config.TideOrgMergeType](): either(text, mapOf(either(text, mapOf(text)))),
	// Tekton is none of this project's concern, and its types are as large as the rest together.
	reflect.TypeFor[pipelinev1beta1.PipelineRunSpec](): {"type": "object"},
}

func either(options ...schema) schema { return schema{"anyOf": options} }
func mapOf(values schema) schema      { return schema{"type": "object", "additionalProperties": values} }

// generator collects the definitions of structs; a struct has up to two, one for each treatment of text.
type generator struct {
	defs  map[string]schema
	names map[string]reflect.Type
}

// schema of t. strict says that text must be text; see the package comment.
func (g *generator) schema(t reflect.Type, strict bool) schema {
	if s, ok := known[t]; ok {
		return s
	}
	switch t {
	case reflect.TypeFor[plugins.Plugins](): // the old form, a list of names, and the new one
		org := g.schema(reflect.TypeFor[plugins.OrgPlugins](), false)
		return mapOf(either(schema{"type": "array", "items": scalar}, org))
	case reflect.TypeFor[plugins.ConfigUpdater](): // decodes itself only to keep an alias
		return g.structure(t, true)
	}
	if pointer := reflect.PointerTo(t); t.Kind() != reflect.Pointer {
		if pointer.Implements(jsonUnmarshaler) {
			return anything
		}
		if pointer.Implements(textUnmarshaler) {
			return text
		}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return g.schema(t.Elem(), strict)
	case reflect.String:
		if strict {
			return text
		}
		return scalar
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return schema{"type": "integer"}
	case reflect.Float32, reflect.Float64:
		return schema{"type": "number"}
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return text // base64
		}
		return schema{"type": "array", "items": g.schema(t.Elem(), strict)}
	case reflect.Map:
		return mapOf(g.schema(t.Elem(), strict))
	case reflect.Struct:
		return g.structure(t, strict)
	case reflect.Interface:
		return anything
	}
	panic("no schema for " + t.String())
}

func (g *generator) structure(t reflect.Type, strict bool) schema {
	name := t.Name()
	if taken, ok := g.names[name]; ok && taken != t {
		name = path.Base(t.PkgPath()) + "." + name
	}
	g.names[name] = t
	if !strict {
		name += ".lenient"
	}
	if _, ok := g.defs[name]; !ok {
		properties := schema{}
		g.defs[name] = schema{"type": "object", "properties": properties, "additionalProperties": false}
		for field, s := range g.fields(t, strict) {
			properties[field] = s
		}
	}
	return schema{"$ref": "#/$defs/" + name}
}

// fields of t by their JSON name; those of embedded structs give way to t's own, as in encoding/json.
func (g *generator) fields(t reflect.Type, strict bool) map[string]schema {
	own, promoted := map[string]schema{}, map[string]schema{}
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case field.Anonymous && name == "":
			for name, s := range g.fields(field.Type, true) {
				promoted[name] = s
			}
		case !field.IsExported():
		case name == "":
			own[field.Name] = g.schema(field.Type, strict)
		default:
			own[name] = g.schema(field.Type, strict)
		}
	}
	for name, s := range promoted {
		if _, ok := own[name]; !ok {
			own[name] = s
		}
	}
	return own
}

func main() {
	g := generator{defs: map[string]schema{}, names: map[string]reflect.Type{}}
	names := []string{}
	for name := range plugins.HelpProviders() {
		names = append(names, name)
	}
	slices.Sort(names)
	out := schema{
		"$comment":     "Generated from " + prowVersion() + " by testbed/tools/prow-schema; make schema writes it anew.",
		"config":       g.schema(reflect.TypeFor[config.Config](), false),
		"jobs":         g.schema(reflect.TypeFor[config.JobConfig](), false),
		"plugins":      g.schema(reflect.TypeFor[plugins.Configuration](), false),
		"plugin_names": names,
		"$defs":        g.defs,
	}
	if err := write(out); err != nil {
		panic(err)
	}
}

// write prints one definition a line: compact, and a new Prow shows as a readable difference.
func write(out schema) error {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	entry := func(key string, value any, end string) error {
		b.WriteString(`"` + key + `":`)
		if err := encoder.Encode(value); err != nil {
			return err
		}
		b.Truncate(b.Len() - 1) // the encoder's newline
		b.WriteString(end)
		return nil
	}
	b.WriteString("{\n")
	for _, key := range []string{"$comment", "config", "jobs", "plugins", "plugin_names"} {
		if err := entry(key, out[key], ",\n"); err != nil {
			return err
		}
	}
	b.WriteString("\"$defs\":{\n")
	defs := out["$defs"].(map[string]schema)
	names := []string{}
	for name := range defs {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		end := ",\n"
		if i == len(names)-1 {
			end = "\n}}\n"
		}
		if err := entry(name, defs[name], end); err != nil {
			return err
		}
	}
	_, err := b.WriteTo(os.Stdout)
	return err
}

func prowVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "sigs.k8s.io/prow" {
				return module.Path + "@" + module.Version
			}
		}
	}
	return "sigs.k8s.io/prow"
}
