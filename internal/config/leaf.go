package config

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	sizeType     = reflect.TypeFor[Size]()
	networksType = reflect.TypeFor[Networks]()
)

// setText gives v, a plain value, the meaning of text.
func setText(v reflect.Value, text string, k Key) error {
	switch {
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return setText(v.Elem(), text, k)
	case v.Type() == durationType:
		return setNumber(v, text, k, ParseDuration)
	case v.Type() == sizeType:
		return setNumber(v, text, k, ParseSize)
	case v.Kind() == reflect.Int:
		return setNumber(v, text, k, parseInt)
	case v.Kind() == reflect.Float64:
		return setNumber(v, text, k, parseFloat)
	case v.Kind() == reflect.Bool:
		return setBool(v, text)
	}
	s, err := checkString(text, k)
	v.SetString(s)
	return err
}

// appendText adds one item to v, a list of plain values.
func appendText(v reflect.Value, text string, k Key) error {
	if v.Type() == networksType {
		n, err := parseNetwork(text)
		v.Set(reflect.AppendSlice(v, reflect.ValueOf(n)))
		return err
	}
	item := reflect.New(v.Type().Elem()).Elem()
	if err := setText(item, text, k); err != nil {
		return err
	}
	v.Set(reflect.Append(v, item))
	return nil
}

func setBool(v reflect.Value, text string) error {
	if text != "true" && text != "false" {
		return hinted{"%q is neither true nor false", "write true or false", text}
	}
	v.SetBool(text == "true")
	return nil
}

func parseInt(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, hinted{"%q is not a whole number", "", s}
	}
	return n, nil
}

func parseFloat(s string) (float64, error) {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, hinted{"%q is not a number", "", s}
	}
	return n, nil
}

func setNumber[T int | Size | float64 | time.Duration](v reflect.Value, text string, k Key, parse func(string) (T, error)) error {
	n, err := parse(text)
	if err != nil {
		return err
	}
	if k.Min != "" && cmp.Less(n, bound(k.Min, parse)) {
		return hinted{"%q is too little", "at least " + k.Min, text}
	}
	if k.Max != "" && cmp.Less(bound(k.Max, parse), n) {
		return hinted{"%q is too much", "at most " + k.Max, text}
	}
	v.Set(reflect.ValueOf(n).Convert(v.Type()))
	return nil
}

func bound[T any](text string, parse func(string) (T, error)) T {
	n, err := parse(text)
	if err != nil {
		panic("config: bound " + text + ": " + err.Error())
	}
	return n
}

// checkString returns the canonical form of a string value.
func checkString(text string, k Key) (string, error) {
	if len(k.Enum) > 0 {
		return text, checkEnum(text, k.Enum)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", hinted{"%q has control characters", "", text}
	}
	if check, ok := checks()[k.Is]; ok {
		return check(text)
	}
	if k.Is != "" {
		panic("config: no check called " + k.Is)
	}
	return text, nil
}

func checkEnum(text string, enum []string) error {
	for _, e := range enum {
		if text == e {
			return nil
		}
	}
	hint := "one of " + strings.Join(enum, ", ")
	if n := nearest(text, enum); n != "" {
		hint = fmt.Sprintf("did you mean %q?", n)
	}
	return hinted{"%q is not one of its words", hint, text}
}

func itoa(n int) string { return strconv.Itoa(n) }
