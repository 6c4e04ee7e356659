package hookclient

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds how deep an answer is nested.
const maxDepth = 32

// Strict reads one JSON value, all of it, into v: no name twice in an object, no
// name that v's type does not have, no octets that are not UTF-8. With lower every
// name has to be in lower case; encoding/json alone would take any.
func Strict(b []byte, v any, lower bool) error {
	if !utf8.Valid(b) {
		return errors.New("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := walk(d, lower, 0); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON value")
	}
	d = json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// walk goes through one value.
func walk(d *json.Decoder, lower bool, depth int) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	open, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	if depth == maxDepth {
		return errors.New("nested too deep")
	}
	seen := map[string]bool{}
	for d.More() {
		if open == '{' {
			if err := name(d, lower, seen); err != nil {
				return err
			}
		}
		if err := walk(d, lower, depth+1); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

func name(d *json.Decoder, lower bool, seen map[string]bool) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	n, _ := t.(string)
	folded := strings.ToLower(n)
	switch {
	case seen[folded]:
		return fmt.Errorf("%.40q is given twice", n)
	case lower && n != folded:
		return fmt.Errorf("%.40q is no name here", n)
	}
	seen[folded] = true
	return nil
}
