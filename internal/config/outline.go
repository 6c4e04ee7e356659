package config

import "strings"

// outline is the table as a tree: what belongs to one section stands together,
// in the order in which the table names it first.
type outline struct {
	name string // a word of the path: "listeners", "*", "[]"
	key  *Key   // nil for a section
	kids []*outline
}

func outlineOf(keys []Key) *outline {
	root := &outline{}
	for i := range keys {
		at := root
		for _, name := range strings.Split(strings.ReplaceAll(keys[i].Path, "[]", ".[]"), ".") {
			at = at.kid(name)
		}
		at.key = &keys[i]
	}
	return root
}

func (o *outline) kid(name string) *outline {
	for _, k := range o.kids {
		if k.name == name {
			return k
		}
	}
	k := &outline{name: name}
	o.kids = append(o.kids, k)
	return k
}

// keys lists those below, in order.
func (o *outline) keys() []Key {
	if o.key != nil {
		return []Key{*o.key}
	}
	var all []Key
	for _, k := range o.kids {
		all = append(all, k.keys()...)
	}
	return all
}

// write puts what is below into a commented-out file.
func (o *outline) write(b *strings.Builder, indent string) {
	for _, k := range o.kids {
		switch {
		case k.name == "[]": // the first line of an item begins with a dash
			var item strings.Builder
			k.write(&item, indent+"  ")
			b.WriteString(indent + "- " + strings.TrimPrefix(item.String(), indent+"  "))
		case k.key != nil:
			b.WriteString(indent + k.name + ": " + yamlDefault(*k.key) + "\n")
		default:
			b.WriteString(indent + strings.Replace(k.name, "*", "NAME", 1) + ":\n")
			k.write(b, indent+"  ")
		}
	}
}
