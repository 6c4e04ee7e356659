package config

import (
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// pair is one entry of a mapping.
type pair struct {
	name  string
	at    Position
	value ast.Node
}

// pairs returns the entries of a mapping; repeated and odd keys are reported
// and left out.
func (d *decoder) pairs(node ast.Node, path string) ([]pair, bool) {
	var values []*ast.MappingValueNode
	switch n := node.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		what := "the file"
		if path != "" {
			what = "\"" + lastKey(path) + "\""
		}
		d.add(positionOf(node), path, what+" wants keys with values", "write each as \"key: value\" on a line of its own")
		return nil, false
	}
	first := map[string]Position{}
	var out []pair
	for _, v := range values {
		p, ok := d.pair(v, path)
		if !ok {
			continue
		}
		if at, again := first[p.name]; again {
			d.add(p.at, join(path, p.name), "the key \""+clip(p.name)+"\" is given twice", "it is in line "+itoa(at.Line)+" too; keep one")
			continue
		}
		first[p.name] = p.at
		out = append(out, p)
	}
	return out, true
}

func (d *decoder) pair(v *ast.MappingValueNode, path string) (pair, bool) {
	at := positionOf(v.Key)
	switch key := v.Key.(type) {
	case *ast.StringNode:
		return pair{key.Value, at, v.Value}, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		if t := key.GetToken(); t != nil {
			return pair{t.Value, at, v.Value}, true
		}
	}
	d.add(at, path, "anchors, aliases, tags and merge keys are not used here", "write a plain key")
	return pair{}, false
}

// scalar returns the text of a plain value.
func scalar(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		if t := node.GetToken(); t != nil {
			return t.Value, true
		}
	}
	return "", false
}

// wrongType says what is wrong with a plain value of another type than t. A
// number may stand for a word, as in min_version: 1.3, or a hash.
func wrongType(node ast.Node, t reflect.Type, k Key) string {
	_, isText := node.(*ast.StringNode)
	_, isBool := node.(*ast.BoolNode)
	_, isInt := node.(*ast.IntegerNode)
	_, isFloat := node.(*ast.FloatNode)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Bool && !isBool && !isText:
		return "wants true or false"
	case t.Kind() == reflect.Bool && isText:
		return "wants true or false, without quotes"
	case t.Kind() == reflect.Int && !isInt:
		return "wants a whole number"
	case t.Kind() == reflect.Float64 && !isInt && !isFloat:
		return "wants a number"
	case t.Kind() == reflect.String && !isText && len(k.Enum) == 0 && !slices.Contains([]string{"sha256", "time", "name", ""}, k.Is):
		return "wants text; put it in quotes if it is meant"
	}
	return ""
}

func positionOf(node ast.Node) Position {
	if node == nil {
		return Position{}
	}
	if m, ok := node.(*ast.MappingNode); ok {
		if len(m.Values) == 0 || m.IsFlowStyle {
			return tokenPosition(node)
		}
		return positionOf(m.Values[0].Key)
	}
	if m, ok := node.(*ast.MappingValueNode); ok {
		return positionOf(m.Key)
	}
	return tokenPosition(node)
}

func tokenPosition(node ast.Node) Position {
	t := node.GetToken()
	if t == nil || t.Position == nil {
		return Position{}
	}
	return Position{t.Position.Line, t.Position.Column}
}

func fieldOf(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if tag := v.Type().Field(i).Tag.Get("yaml"); tag == name && tag != "-" && tag != "" {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func fieldNames(v reflect.Value) []string {
	var names []string
	for i := range v.NumField() {
		if tag := v.Type().Field(i).Tag.Get("yaml"); tag != "-" && tag != "" {
			names = append(names, tag)
		}
	}
	return names
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func lastKey(path string) string {
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[i+1:]
	}
	return path
}

// parentKey takes the last name or index off a path.
func parentKey(path string) string {
	if i := strings.LastIndexAny(path, ".["); i >= 0 {
		return path[:i]
	}
	return ""
}
