package httpapi

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
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

func parseIDs(s string) ([]queue.ID, error) {
	parts := strings.Split(s, ",")
	if len(parts) > maxExprIDs {
		return nil, fmt.Errorf("more than %d IDs", maxExprIDs)
	}
	var ids []queue.ID
	for _, p := range parts {
		id, err := queue.ParseID(p)
		if err != nil {
			return nil, errors.New("malformed queue ID " + strconv.Quote(cut(p, 30)))
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func parseStates(s string) ([]queue.State, error) {
	var states []queue.State
	parts := strings.Split(s, ",")
	if len(parts) > len(queue.States) {
		return nil, errors.New("more states than there are")
	}
	for _, p := range parts {
		st, err := queue.ParseState(p)
		if err != nil {
			return nil, errors.New("want unfiltered, incoming, active or deferred")
		}
		states = append(states, st)
	}
	return states, nil
}

func parseBool(s string) (*bool, error) {
	v := s == "true"
	if !v && s != "false" {
		return nil, errors.New("want true or false")
	}
	return &v, nil
}

// parseAge reads a Go duration, or whole days ("2d").
func parseAge(s string) (time.Duration, error) {
	if n, ok := strings.CutSuffix(s, "d"); ok {
		days, err := strconv.ParseUint(n, 10, 16)
		if err != nil || days > 36500 || days == 0 {
			return 0, errors.New("want an age like 90s, 15m, 2h or 3d")
		}
		return time.Duration(days) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, errors.New("want an age like 90s, 15m, 2h or 3d")
	}
	return d, nil
}

// parseSize reads octets, with k, M or G for powers of 1024.
func parseSize(s string) (int64, error) {
	shift := 0
	if s != "" {
		switch s[len(s)-1] {
		case 'k', 'K':
			shift = 10
		case 'M':
			shift = 20
		case 'G':
			shift = 30
		}
	}
	if shift > 0 {
		s = s[:len(s)-1]
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > 1<<62>>shift {
		return 0, errors.New("want a size like 500, 10k or 5M")
	}
	return n << shift, nil
}
