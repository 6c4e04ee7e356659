package httpapi

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"mtad/filterproto"
	"mtad/queue"
)

// Bounds of a filter expression.
const (
	maxExpr      = 8192 // octets
	maxExprTerms = 32
	maxExprIDs   = 500
)

// parseExpr reads a filter expression: terms with spaces between them, all of
// which have to match. The grammar is in api/openapi.yaml, at filterExpression.
func parseExpr(s string) (queue.Filter, error) {
	var f queue.Filter
	if len(s) > maxExpr {
		return f, exprError("", fmt.Sprintf("more than %d octets", maxExpr))
	}
	if !utf8.ValidString(s) {
		return f, exprError("", "not UTF-8")
	}
	seen := make(map[string]bool)
	for rest := s; ; {
		var t term
		var err error
		if t, rest, err = nextTerm(rest); err != nil {
			return queue.Filter{}, exprError("", err.Error())
		}
		if t.key == "" {
			return f, nil
		}
		if len(seen) >= maxExprTerms || seen[t.key+t.op] {
			return queue.Filter{}, exprError(t.key, "given twice, or too many terms")
		}
		seen[t.key+t.op] = true
		if err := t.apply(&f); err != nil {
			return queue.Filter{}, exprError(t.key, err.Error())
		}
	}
}

func exprError(key, what string) error {
	if key != "" {
		key = (&place{name: key}).String()
		what = key + ": " + what
	}
	return failField(filterproto.CodeInvalidFilter, "filter", what)
}

// term is one condition; key "" is the end.
type term struct{ key, op, value string }

func nextTerm(s string) (t term, rest string, err error) {
	s = strings.TrimLeft(s, " \t\r\n")
	if s == "" {
		return term{}, "", nil
	}
	i := 0
	for i < len(s) && (s[i] >= 'a' && s[i] <= 'z' || s[i] == '_') {
		i++
	}
	if i == 0 || i == len(s) || !strings.ContainsRune("=<>", rune(s[i])) {
		return term{}, "", errors.New("want key=value, key<value or key>value at " + strconv.Quote(cut(s, 20)))
	}
	t.key, t.op = s[:i], s[i:i+1]
	t.value, rest, err = nextValue(s[i+1:])
	return t, rest, err
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// nextValue reads a bare word, or a quoted one with \ before " and \.
func nextValue(s string) (value, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		i := strings.IndexAny(s, " \t\r\n")
		if i < 0 {
			i = len(s)
		}
		return s[:i], s[i:], nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			if i+1 < len(s) && !strings.ContainsRune(" \t\r\n", rune(s[i+1])) {
				return "", "", errors.New("something follows a closing quote")
			}
			return b.String(), s[i+1:], nil
		case '\\':
			if i++; i == len(s) || s[i] != '"' && s[i] != '\\' {
				return "", "", errors.New(`want \" or \\ after a backslash`)
			}
			b.WriteByte(s[i])
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", errors.New("no closing quote")
}

func (t term) apply(f *queue.Filter) (err error) {
	switch t.key {
	case "age", "size":
		return t.compare(f)
	}
	if t.op != "=" {
		return errors.New("compares with = only")
	}
	if t.value == "" {
		return errors.New("no value")
	}
	switch t.key {
	case "id":
		f.IDs, err = parseIDs(t.value)
	case "state":
		f.States, err = parseStates(t.value)
	case "sender":
		f.Sender = t.value
	case "recipient":
		f.Recipient = t.value
	case "next_hop":
		f.NextHop = t.value
	case "stage":
		f.Stage = t.value
	case "chain":
		f.Chain = t.value
	case "held":
		f.Held, err = parseBool(t.value)
	case "hold_by":
		f.HoldBy = t.value
	case "reason":
		f.Reason = t.value
	case "origin":
		f.Origin = new(queue.Origin)
		err = f.Origin.UnmarshalText([]byte(t.value))
	case "parent":
		f.Parent, err = queue.ParseID(t.value)
	default:
		return errors.New("no such key")
	}
	return err
}

func (t term) compare(f *queue.Filter) error {
	if t.key == "age" {
		d, err := parseAge(t.value)
		switch {
		case err != nil:
			return err
		case t.op == ">":
			f.OlderThan = d
		case t.op == "<":
			f.YoungerThan = d
		default:
			return errors.New("compares with < and > only")
		}
		return nil
	}
	n, err := parseSize(t.value)
	switch {
	case err != nil:
		return err
	case t.op == ">":
		f.MinSize = n + 1
	case t.op == "<" && n <= 1:
		return errors.New("nothing is so small")
	case t.op == "<":
		f.MaxSize = n - 1
	default:
		return errors.New("compares with < and > only")
	}
	return nil
}
