package config

import (
	"fmt"
	"reflect"
	"slices"
)

// Change is a setting that differs between two configurations.
type Change struct {
	Key  string // "listeners.mx.chain"
	Live bool   // a reload applies it
}

// Changes lists what differs between c and next, by key.
func (c *Config) Changes(next *Config) []Change {
	live := map[string]bool{}
	for _, k := range Keys() {
		live[k.Path] = k.Live
	}
	was, is := flatten(c), flatten(next)
	var out []Change
	for key, v := range is {
		if old, ok := was[key]; !ok || old.text != v.text {
			out = append(out, Change{key, live[v.schema]})
		}
		delete(was, key)
	}
	for key, v := range was {
		out = append(out, Change{key, live[v.schema]})
	}
	slices.SortFunc(out, func(a, b Change) int {
		if a.Key < b.Key {
			return -1
		}
		return 1
	})
	return out
}

type flat struct{ schema, text string }

func flatten(c *Config) map[string]flat {
	out := map[string]flat{}
	flattenInto(out, reflect.ValueOf(c).Elem(), "", "")
	return out
}

func flattenInto(out map[string]flat, v reflect.Value, path, schema string) {
	switch {
	case v.Kind() == reflect.Map:
		for _, name := range v.MapKeys() {
			flattenInto(out, v.MapIndex(name), join(path, name.String()), schema+".*")
		}
	case v.Kind() == reflect.Slice && v.Type() != networksType && v.Type().Elem().Kind() == reflect.Struct:
		for i := range v.Len() {
			flattenInto(out, v.Index(i), fmt.Sprintf("%s[%d]", path, i), schema+"[]")
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if tag := v.Type().Field(i).Tag.Get("yaml"); tag != "" && tag != "-" {
				flattenInto(out, v.Field(i), join(path, tag), join(schema, tag))
			}
		}
	case v.Kind() == reflect.Pointer && !v.IsNil():
		flattenInto(out, v.Elem(), path, schema)
	default:
		out[path] = flat{schema, fmt.Sprint(v.Interface())}
	}
}
