package httpapi

import (
	"bytes"
	"encoding"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"mtad/filterproto"
)

// checkJSON reports whether body is one JSON value that fits type t exactly:
// names spelt as they are, none twice, no value of another type, depth bounded.
// encoding/json alone would take names in any case, the last of two, and octets
// that are not UTF-8. A null is as good as an absent field.
func checkJSON(fields *fieldTable, body []byte, t reflect.Type) *filterproto.Error {
	if !utf8.Valid(body) {
		return fail(filterproto.CodeInvalidJSON, "not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	c := checker{d: d, fields: fields}
	tok, err := c.next()
	if err == nil && tok == nil {
		err = failField(filterproto.CodeInvalidRequest, "", "want an object")
	}
	if err == nil {
		err = c.value(tok, t, nil, 0)
	}
	if err != nil {
		return err
	}
	if _, end := d.Token(); !errors.Is(end, io.EOF) {
		return fail(filterproto.CodeInvalidJSON, "something follows the value")
	}
	return nil
}

type checker struct {
	d      *json.Decoder
	fields *fieldTable
}

func (c *checker) next() (json.Token, *filterproto.Error) {
	tok, err := c.d.Token()
	if err != nil {
		return nil, fail(filterproto.CodeInvalidJSON, "malformed JSON at octet "+strconv.FormatInt(c.d.InputOffset(), 10))
	}
	return tok, nil
}

// place is where a value stands; it is spelt out only for an error.
type place struct {
	up    *place
	name  string
	index int // with name "": an element
}

func (p *place) String() string {
	if p == nil {
		return ""
	}
	name := p.name
	if len(name) > maxName {
		name = strings.ToValidUTF8(name[:maxName], "") + "…"
	}
	if p.name == "" {
		return p.up.String() + "[" + strconv.Itoa(p.index) + "]"
	}
	if p.up == nil {
		return name
	}
	return p.up.String() + "." + name
}

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

func (c *checker) value(tok json.Token, t reflect.Type, at *place, depth int) *filterproto.Error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	for reflect.PointerTo(t).Implements(multiformType) {
		t = reflect.New(t).Interface().(multiform).form(tok)
	}
	switch v := tok.(type) {
	case nil:
		return nil
	case json.Delim:
		if depth >= maxDepth {
			return failField(filterproto.CodeInvalidJSON, at.String(), "nested too deep")
		}
		if v == '[' {
			return c.array(t, at, depth)
		}
		return c.object(t, at, depth)
	case string:
		if t.Kind() == reflect.String {
			return nil
		}
		if isOctets(t) {
			if _, err := base64.StdEncoding.DecodeString(v); err != nil {
				return failField(filterproto.CodeInvalidRequest, at.String(), "malformed base64")
			}
			return nil
		}
		if p := reflect.PointerTo(t); p.Implements(textUnmarshaler) {
			if reflect.New(t).Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(v)) == nil {
				return nil
			}
			return failField(filterproto.CodeInvalidRequest, at.String(), "malformed "+kindName(t))
		}
	case bool:
		if t.Kind() == reflect.Bool {
			return nil
		}
	case json.Number:
		if isNumber(t) {
			return number(v, t, at)
		}
	}
	return failField(filterproto.CodeInvalidRequest, at.String(), "want "+kindName(t))
}

func isOctets(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8
}

func isNumber(t reflect.Type) bool {
	return reflect.Int <= t.Kind() && t.Kind() <= reflect.Float64
}

func number(v json.Number, t reflect.Type, at *place) *filterproto.Error {
	var err error
	switch {
	case t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64:
		_, err = strconv.ParseFloat(string(v), t.Bits())
	case reflect.Uint <= t.Kind() && t.Kind() <= reflect.Uint64:
		_, err = strconv.ParseUint(string(v), 10, t.Bits())
	default:
		_, err = strconv.ParseInt(string(v), 10, t.Bits())
	}
	if err != nil {
		return failField(filterproto.CodeInvalidRequest, at.String(), "want "+kindName(t)+" in range")
	}
	return nil
}

func (c *checker) array(t reflect.Type, at *place, depth int) *filterproto.Error {
	if t.Kind() != reflect.Slice || isOctets(t) {
		return failField(filterproto.CodeInvalidRequest, at.String(), "want "+kindName(t))
	}
	for i := 0; ; i++ {
		tok, err := c.next()
		if err != nil {
			return err
		}
		if tok == json.Delim(']') {
			return nil
		}
		if err := c.value(tok, t.Elem(), &place{up: at, index: i}, depth+1); err != nil {
			return err
		}
	}
}

func (c *checker) object(t reflect.Type, at *place, depth int) *filterproto.Error {
	if t.Kind() == reflect.Map {
		return c.members(nil, t.Elem(), at, depth)
	}
	if t.Kind() != reflect.Struct || reflect.PointerTo(t).Implements(textUnmarshaler) {
		return failField(filterproto.CodeInvalidRequest, at.String(), "want "+kindName(t))
	}
	return c.members(c.fields.of(t), nil, at, depth)
}

// members checks an object's: those that fields names, or any of the type every.
func (c *checker) members(fields map[string]reflect.Type, every reflect.Type, at *place, depth int) *filterproto.Error {
	seen := make(map[string]bool, 8)
	for {
		tok, err := c.next()
		if err != nil {
			return err
		}
		name, ok := tok.(string)
		if !ok {
			return nil // '}'
		}
		here := &place{up: at, name: name}
		ft, known := fields[name]
		if every != nil {
			ft, known = every, true
		}
		if !known {
			return failField(filterproto.CodeUnknownField, here.String(), "unknown field")
		}
		if seen[name] {
			return failField(filterproto.CodeInvalidRequest, here.String(), "given twice")
		}
		seen[name] = true
		if tok, err = c.next(); err != nil {
			return err
		}
		if err := c.value(tok, ft, here, depth+1); err != nil {
			return err
		}
	}
}

// fieldTable remembers the JSON names of struct types. The zero value is ready,
// and safe for concurrent use.
type fieldTable struct{ m sync.Map } // map[string]reflect.Type by reflect.Type

func (f *fieldTable) of(t reflect.Type) map[string]reflect.Type {
	if m, ok := f.m.Load(t); ok {
		return m.(map[string]reflect.Type)
	}
	m := make(map[string]reflect.Type)
	for i := range t.NumField() {
		sf := t.Field(i)
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if sf.IsExported() && name != "-" && name != "" {
			m[name] = sf.Type
		}
	}
	f.m.Store(t, m)
	return m
}

func kindName(t reflect.Type) string {
	switch {
	case isOctets(t):
		return "a base64 string"
	case t.Kind() == reflect.Slice:
		return "an array"
	case t.Kind() == reflect.String:
		return "a string"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64:
		return "a number"
	case isNumber(t):
		return "an integer"
	case reflect.PointerTo(t).Implements(textUnmarshaler):
		return "a date and time"
	}
	return "an object"
}
