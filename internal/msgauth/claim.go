package msgauth

import (
	"strings"
)

// Claims reports whether the value of an Authentication-Results field has to go
// because it claims to be from id or one of others (RFC 8601 §5): it names one of
// them, in any case, as A- or U-labels, quoted or not, behind white space, folds
// or comments; or it cannot be told whom it names, for then readers may differ.
func Claims(value string, ids ...string) bool {
	named, ok := servID(value)
	if !ok {
		return true
	}
	for _, id := range ids {
		if sameID(named, id) {
			return true
		}
	}
	return false
}

func sameID(a, b string) bool {
	a, b = strings.TrimSuffix(a, "."), strings.TrimSuffix(b, ".")
	if strings.EqualFold(a, b) {
		return true
	}
	la, lb := aLabels(a), aLabels(b)
	return la != "" && la == lb
}

// servID reads the authserv-id that a field begins with, and what may follow it
// (RFC 8601 §2.2): white space and comments, a version, the results. Anything else
// is not ok, and so are octets that a reader might take for something else.
func servID(value string) (id string, ok bool) {
	rest, ok := skipCFWS(value)
	if !ok {
		return "", false
	}
	if strings.HasPrefix(rest, `"`) {
		id, rest, ok = quoted(rest)
	} else {
		id, rest = token(rest)
	}
	if !ok || id == "" || !plain(id) || strings.Contains(id, "=?") {
		return "", false
	}
	if rest, ok = skipCFWS(rest); !ok {
		return "", false
	}
	digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
	if rest, ok = skipCFWS(rest[digits:]); !ok {
		return "", false
	}
	return id, rest == "" || rest[0] == ';'
}

// plain: printable, and UTF-8 where it is not US-ASCII. Other alphabets' letters
// that look like ours are letters of another name.
func plain(s string) bool {
	for _, r := range s {
		if r <= ' ' || r == 0x7f || r == 0xfffd || r >= 0x80 && aLabels(s) == "" {
			return false
		}
	}
	return true
}

// token is what comes before white space or a special (RFC 2045 §5.1); "@" and
// others that are no part of a domain make it end, and the field unclear.
func token(s string) (tok, rest string) {
	i := strings.IndexAny(s, " \t\r\n;()<>@,:\\\"/[]?=")
	if i < 0 {
		i = len(s)
	}
	return s[:i], s[i:]
}

// quoted reads a quoted-string (RFC 5322 §3.2.4).
func quoted(s string) (text, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		case '\r', '\n':
			continue // a fold
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

// skipCFWS skips white space, folds and comments (RFC 5322 §3.2.2).
func skipCFWS(s string) (rest string, ok bool) {
	for s != "" {
		switch s[0] {
		case ' ', '\t', '\r', '\n':
			s = s[1:]
		case '(':
			if s, ok = skipComment(s); !ok {
				return "", false
			}
		default:
			return s, true
		}
	}
	return "", true
}

func skipComment(s string) (rest string, ok bool) {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return s[i+1:], true
			}
		}
	}
	return "", false
}
