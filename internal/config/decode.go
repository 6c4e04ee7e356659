package config

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// decoder walks the tree of the file and the fields of Config side by side.
// Two paths are carried along: the path with names filled in ("listeners.mx.chain"),
// for messages, and the path in the table ("listeners.*.chain").
type decoder struct {
	file      string
	keys      map[string]Key
	positions map[string]Position
	problems  Problems
}

func newDecoder(file string) *decoder {
	d := &decoder{file: file, keys: map[string]Key{}, positions: map[string]Position{}}
	for _, k := range Keys() {
		d.keys[k.Path] = k
	}
	return d
}

func (d *decoder) add(at Position, key, message, hint string) {
	if len(d.problems) < maxProblems {
		d.problems = append(d.problems, &Problem{d.file, at, key, message, hint})
	}
}

func (d *decoder) config(root ast.Node, cfg *Config) {
	if root == nil {
		root = &ast.MappingNode{}
	}
	d.section(root, reflect.ValueOf(cfg).Elem(), "", "")
}

// section fills the struct v from a mapping, and its other fields with defaults.
func (d *decoder) section(node ast.Node, v reflect.Value, path, schema string) {
	pairs, ok := d.pairs(node, path)
	if !ok {
		return
	}
	given := map[string]bool{}
	for _, p := range pairs {
		d.positions[join(path, p.name)] = p.at
		field, ok := fieldOf(v, p.name)
		if !ok {
			d.unknown(p, v, path)
			continue
		}
		given[p.name] = true
		d.value(p.value, field, p.at, join(path, p.name), join(schema, p.name))
	}
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("yaml")
		if name == "" || name == "-" || given[name] {
			continue
		}
		d.absent(node, v.Field(i), join(path, name), join(schema, name))
	}
}

// absent gives a field that is not in the file its default.
func (d *decoder) absent(section ast.Node, v reflect.Value, path, schema string) {
	k, isLeaf := d.keys[schema]
	switch {
	case !isLeaf && v.Kind() == reflect.Struct:
		d.section(&ast.MappingNode{}, v, path, schema)
	case !isLeaf:
	case k.Required:
		d.add(positionOf(section), path, fmt.Sprintf("%q is missing", lastKey(path)), "")
	case k.Default != "":
		if err := setDefault(v, k); err != nil {
			panic("config: default of " + k.Path + ": " + err.Error())
		}
	}
}

func setDefault(v reflect.Value, k Key) error {
	if v.Kind() != reflect.Slice {
		return setText(v, k.Default, k)
	}
	for _, item := range strings.Split(k.Default, ",") {
		if err := appendText(v, strings.TrimSpace(item), k); err != nil {
			return err
		}
	}
	return nil
}

// value fills v from node, whatever its type.
func (d *decoder) value(node ast.Node, v reflect.Value, at Position, path, schema string) {
	switch node.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		d.add(positionOf(node), path, "anchors, aliases, tags and merge keys are not used here", "write the value itself")
		return
	}
	_, isLeaf := d.keys[schema]
	_, isNull := node.(*ast.NullNode)
	switch {
	case isNull && isLeaf:
		d.add(at, path, fmt.Sprintf("%q has no value", lastKey(path)), "leave the line out to get the default")
	case isNull && v.Kind() == reflect.Struct:
		d.section(&ast.MappingNode{}, v, path, schema)
	case isNull: // an empty table or list of sections
	case isLeaf && v.Kind() == reflect.Slice:
		d.list(node, v, path, schema)
	case isLeaf:
		d.leaf(node, v.Type(), path, schema, func(text string, k Key) error { return setText(v, d.place(text, k), k) })
	case v.Kind() == reflect.Struct:
		d.section(node, v, path, schema)
	case v.Kind() == reflect.Map:
		d.table(node, v, path, schema)
	case v.Kind() == reflect.Slice:
		d.sections(node, v, path, schema)
	}
}

// table fills a map of sections with names that the user chose.
func (d *decoder) table(node ast.Node, v reflect.Value, path, schema string) {
	pairs, ok := d.pairs(node, path)
	if !ok {
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, p := range pairs {
		d.positions[join(path, p.name)] = p.at
		if err := checkName(p.name); err != nil {
			d.add(p.at, join(path, p.name), err.Error(), hintOf(err))
			continue
		}
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(p.value, item, p.at, join(path, p.name), schema+".*")
		v.SetMapIndex(reflect.ValueOf(p.name), item)
	}
}

// sections fills a list of sections.
func (d *decoder) sections(node ast.Node, v reflect.Value, path, schema string) {
	seq, ok := node.(*ast.SequenceNode)
	if !ok {
		d.add(positionOf(node), path, fmt.Sprintf("%q wants a list", lastKey(path)), "begin each item with a dash")
		return
	}
	for i, n := range seq.Values {
		item := reflect.New(v.Type().Elem()).Elem()
		at := path + "[" + strconv.Itoa(i) + "]"
		d.positions[at] = positionOf(n)
		d.value(n, item, positionOf(n), at, schema+"[]")
		v.Set(reflect.Append(v, item))
	}
}

// list fills a list of plain values.
func (d *decoder) list(node ast.Node, v reflect.Value, path, schema string) {
	seq, ok := node.(*ast.SequenceNode)
	if !ok {
		hint := "write it in brackets"
		if t := node.GetToken(); t != nil {
			hint += ", as in [" + clip(t.Value) + "]"
		}
		d.add(positionOf(node), path, fmt.Sprintf("%q wants a list", lastKey(path)), hint)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, len(seq.Values)))
	for i, n := range seq.Values {
		at := path + "[" + strconv.Itoa(i) + "]"
		d.positions[at] = positionOf(n)
		d.leaf(n, v.Type().Elem(), at, schema, func(text string, k Key) error { return appendText(v, text, k) })
	}
}

// place makes a path absolute: it is relative to the file's directory.
func (d *decoder) place(text string, k Key) string {
	if k.Is != "path" || text == "" || text == "none" || filepath.IsAbs(text) {
		return text
	}
	dir, err := filepath.Abs(filepath.Dir(d.file))
	if err != nil {
		return text
	}
	return filepath.Join(dir, text)
}

// leaf hands the text of a plain value to set.
func (d *decoder) leaf(node ast.Node, t reflect.Type, path, schema string, set func(string, Key) error) {
	k := d.keys[schema]
	text, ok := scalar(node)
	if !ok {
		d.add(positionOf(node), path, fmt.Sprintf("%q wants a plain value", lastKey(path)), "")
		return
	}
	if msg := wrongType(node, t, k); msg != "" {
		d.add(positionOf(node), path, fmt.Sprintf("%q %s", lastKey(path), msg), "")
		return
	}
	if err := set(text, k); err != nil {
		d.add(positionOf(node), path, lastKey(path)+": "+err.Error(), hintOf(err))
	}
}

func (d *decoder) unknown(p pair, v reflect.Value, path string) {
	hint := ""
	if n := nearest(p.name, fieldNames(v)); n != "" {
		hint = fmt.Sprintf("did you mean %q?", n)
	} else if n := d.elsewhere(p.name); n != "" {
		hint = fmt.Sprintf("there is %q", n)
	} else {
		hint = "known here: " + strings.Join(fieldNames(v), ", ")
	}
	where := ""
	if path != "" {
		where = fmt.Sprintf(" in %q", path)
	}
	d.add(p.at, join(path, p.name), fmt.Sprintf("unknown key %q%s", clip(p.name), where), hint)
}

// elsewhere finds a key of this name in another section.
func (d *decoder) elsewhere(name string) string {
	for _, k := range Keys() {
		if lastKey(k.Path) == name {
			return k.Path
		}
	}
	return ""
}
