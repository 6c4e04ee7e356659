package main

import (
	"fmt"
	"sort"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

type operation struct {
	ID, Method, Path, Scope string
	MaxBody                 int64
	Consumes, Produces      []string
	Query                   []string
}

func readOperations(name string) ([]operation, error) {
	doc, err := openapi3.NewLoader().LoadFromFile(name)
	if err != nil {
		return nil, err
	}
	var ops []operation
	for path, item := range doc.Paths.Map() {
		for method, o := range item.Operations() {
			ops = append(ops, readOperation(method, path, o))
		}
	}
	sort.Slice(ops, func(i, j int) bool { return ops[i].ID < ops[j].ID })
	for _, op := range ops {
		if op.Scope == "" && op.ID != "getHealthz" && op.ID != "getReadyz" {
			return nil, fmt.Errorf("%s: no x-mtad-scope", op.ID)
		}
	}
	return ops, nil
}

func readOperation(method, path string, o *openapi3.Operation) operation {
	op := operation{ID: o.OperationID, Method: method, Path: path}
	op.Scope, _ = o.Extensions["x-mtad-scope"].(string)
	if n, ok := o.Extensions["x-mtad-max-body"].(float64); ok {
		op.MaxBody = int64(n)
	}
	for _, p := range o.Parameters {
		if p.Value.In == "query" {
			op.Query = append(op.Query, p.Value.Name)
		}
	}
	if o.RequestBody != nil {
		op.Consumes = sortedKeys(o.RequestBody.Value.Content)
	}
	seen := map[string]*openapi3.MediaType{}
	for status, r := range o.Responses.Map() {
		if strings.HasPrefix(status, "2") {
			for t, m := range r.Value.Content {
				seen[t] = m
			}
		}
	}
	op.Produces = sortedKeys(seen)
	return op
}

func sortedKeys(m map[string]*openapi3.MediaType) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

func operationTable(ops []operation) string {
	var b strings.Builder
	fmt.Fprintf(&b, generated, "openapi.yaml", "api")
	b.WriteString(`// Operation is what openapi.yaml says of an operation besides its types.
type Operation struct {
	ID, Method, Path string
	// Scope is what the caller needs; "" is open to everybody, {filter} stands for
	// the filter's name.
	Scope string
	// MaxBody bounds a JSON body, in octets.
	MaxBody  int64
	Consumes []string // media types of the request body; none: there is no body
	Produces []string // media types of a good answer
	Query    []string // names of the query parameters
}

// Operations returns all operations, by ID.
func Operations() []Operation {
	return []Operation{
`)
	for _, o := range ops {
		fmt.Fprintf(&b, "\t\t{ID: %q, Method: %q, Path: %q", o.ID, o.Method, o.Path)
		if o.Scope != "" {
			fmt.Fprintf(&b, ", Scope: %q", o.Scope)
		}
		if o.MaxBody != 0 {
			fmt.Fprintf(&b, ", MaxBody: %d", o.MaxBody)
		}
		for _, l := range []struct {
			name string
			v    []string
		}{{"Consumes", o.Consumes}, {"Produces", o.Produces}, {"Query", o.Query}} {
			if len(l.v) > 0 {
				fmt.Fprintf(&b, ", %s: %#v", l.name, l.v)
			}
		}
		b.WriteString("},\n")
	}
	b.WriteString("\t}\n}\n")
	return b.String()
}
