package config

import (
	"bytes"
	"errors"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// leaves lists the paths of all settings that Config has room for.
func leaves(t reflect.Type, path string) []string {
	if t == networksType || t == durationType || t == sizeType {
		return []string{path}
	}
	switch t.Kind() {
	case reflect.Map:
		return leaves(t.Elem(), path+".*")
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			return leaves(t.Elem(), path+"[]")
		}
	case reflect.Struct:
		var all []string
		for i := range t.NumField() {
			if tag := t.Field(i).Tag.Get("yaml"); tag != "" && tag != "-" {
				all = append(all, leaves(t.Field(i).Type, join(path, tag))...)
			}
		}
		return all
	}
	return []string{path}
}

func TestEveryKeyIsInTheTableAndDescribed(t *testing.T) {
	table := map[string]Key{}
	for _, k := range Keys() {
		if _, twice := table[k.Path]; twice {
			t.Errorf("%s is in the table twice", k.Path)
		}
		table[k.Path] = k
	}
	for _, path := range leaves(reflect.TypeFor[Config](), "") {
		k, ok := table[path]
		if !ok {
			t.Errorf("%s is not in the table", path)
			continue
		}
		delete(table, path)
		if !strings.HasSuffix(k.Doc, ".") {
			t.Errorf("%s: the description is missing or no sentence: %q", path, k.Doc)
		}
		if k.Default == "" && !k.Required && !strings.Contains(k.Type(), "list") && !strings.Contains(k.Doc, "efault") && !strings.Contains(k.Doc, "As `") && !strings.Contains(k.Doc, "xactly one") && k.Is != "path" && k.Is != "name" {
			t.Errorf("%s: has no default and does not say what happens without it", path)
		}
		numeric := k.Type() == "size" || k.Type() == "number" || k.Type() == "duration"
		if numeric && (k.Min == "" || k.Max == "") {
			t.Errorf("%s: has no bounds", path)
		}
	}
	for path := range table {
		t.Errorf("%s is in the table, but nowhere in Config", path)
	}
}

func TestDocumentIsWhatTheTableSays(t *testing.T) {
	var want bytes.Buffer
	if err := Document(&want); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Error("docs/configuration.md is stale: run go generate ./internal/config")
	}
	for _, k := range Keys() {
		if !bytes.Contains(got, []byte("| `"+k.Path+"` |")) {
			t.Errorf("%s is in no section of the document", k.Path)
		}
	}
}

func TestDefaultsAreWithinTheirOwnBounds(t *testing.T) {
	for _, k := range Keys() {
		typ, ok := typeOf(reflect.TypeFor[Config](), k.Path)
		if !ok {
			t.Errorf("%s has no type", k.Path)
			continue
		}
		if k.Default == "" {
			continue
		}
		if err := setDefault(reflect.New(typ).Elem(), k); err != nil {
			t.Errorf("%s: %v", k.Path, err)
		}
	}
}

// The commented-out file, with the comments taken off, has keys that exist.
func TestDefaultsFileNamesKnownKeysOnly(t *testing.T) {
	var b bytes.Buffer
	if err := WriteDefaults(&b); err != nil {
		t.Fatal(err)
	}
	for _, k := range Keys() {
		if !strings.Contains(b.String(), lastKey(k.Path)+": ") {
			t.Errorf("%s is missing", k.Path)
		}
	}
	if _, err := Parse("defaults", b.Bytes()); err != nil {
		t.Errorf("as it is: %v", err)
	}
	_, text, _ := bytes.Cut(b.Bytes(), []byte("\n"))
	text = regexp.MustCompile(`(?m)^# `).ReplaceAll(text, nil)
	_, err := Parse("defaults", text)
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatalf("with the comments taken off: %v", err)
	}
	for _, p := range problems {
		if !strings.HasSuffix(p.Message, "has no value") {
			t.Errorf("with the comments taken off: %v", p)
		}
	}
}
