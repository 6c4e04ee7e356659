package config

import (
	"encoding/hex"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// checks are the grammars of string values by the name in Key.Is. Each returns
// the canonical form.
func checks() map[string]func(string) (string, error) {
	return map[string]func(string) (string, error){
		"domain":     ParseDomain,
		"pattern":    checkPattern,
		"match":      checkMatch,
		"mailbox":    checkMailbox,
		"address":    checkAddress,
		"event":      checkEvent,
		"nexthop":    checkNextHop,
		"peer":       checkPeer,
		"field":      checkField,
		"url":        checkURL,
		"pointer":    checkPointer,
		"path":       checkPath,
		"localpart":  checkLocalPart,
		"octet":      checkOctet,
		"exit":       checkExit,
		"selector":   checkSelector,
		"author":     checkAuthor,
		"fieldname":  checkSignedField,
		"assignment": checkAssignment,
		"name":       func(s string) (string, error) { return s, checkName(s) },
		"sha256":     checkSHA256,
		"scope":      checkScope,
		"login":      checkLogin,
		"sender":     checkSender,
		"time":       func(s string) (string, error) { _, err := ParseTime(s); return s, err },
	}
}

// checkName is the grammar of names that the user chooses.
func checkName(s string) error {
	if s == "" || len(s) > 64 || strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) {
		return hinted{"%q is not a name", "up to 64 letters, digits, hyphens and underscores", s}
	}
	return nil
}

// checkPattern is a domain, or a dot and a domain for all below it.
func checkPattern(s string) (string, error) {
	d, err := ParseDomain(strings.TrimPrefix(s, "."))
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(s, ".") {
		d = "." + d
	}
	return d, nil
}

func checkMatch(s string) (string, error) {
	if s == "*" {
		return s, nil
	}
	if strings.Contains(s, "@") {
		return checkMailbox(s)
	}
	return checkPattern(s)
}

func checkMailbox(s string) (string, error) {
	i := strings.LastIndexByte(s, '@')
	if i < 1 || i > 64 || strings.ContainsAny(s, " <>\"") {
		return "", hinted{"%q is not a mailbox", "write it as user@example.org", s}
	}
	d, err := ParseDomain(s[i+1:])
	if err != nil {
		return "", err
	}
	return s[:i+1] + d, nil
}

func checkAddress(s string) (string, error) {
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return "", hinted{"%q is not an IP address with a port", "write it as 127.0.0.1:2525 or [::1]:2525", s}
	}
	return a.String(), nil
}

// checkNextHop is "example.net", "[host]", or either with ":port".
func checkNextHop(s string) (string, error) {
	bad := hinted{"%q is not a next hop", "write a domain, or [host]:port for a host as it is", s}
	host, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		host, port = s[:i], s[i+1:]
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "", bad
		}
	}
	if strings.HasPrefix(host, "[") {
		inner, ok := strings.CutSuffix(host[1:], "]")
		if _, err := netip.ParseAddr(inner); ok && err == nil {
			return s, nil
		}
		if _, err := ParseDomain(inner); !ok || err != nil {
			return "", bad
		}
		return s, nil
	}
	if _, err := ParseDomain(host); err != nil {
		return "", bad
	}
	return s, nil
}

func checkPath(s string) (string, error) {
	if s == "" || len(s) > 4000 {
		return "", hinted{"%q is not a path", "", s}
	}
	return filepath.Clean(s), nil
}

func checkLocalPart(s string) (string, error) {
	if s == "" || len(s) > 64 || s[0] == '.' || strings.ContainsAny(s, "/\\@%! ") {
		return "", hinted{"%q cannot be a mailbox", "a name without /, @, %, ! and spaces", s}
	}
	return s, nil
}

func checkOctet(s string) (string, error) {
	if len(s) != 1 || !strings.Contains("+-=#_", s) {
		return "", hinted{"%q cannot be a delimiter", "one of + - = # _", s}
	}
	return s, nil
}

func checkSHA256(s string) (string, error) {
	if b, err := hex.DecodeString(s); err != nil || len(b) != 32 {
		return "", hinted{"%q is not a SHA-256 hash", "64 hexadecimal digits, as printed by: printf %s \"$TOKEN\" | sha256sum", s}
	}
	return strings.ToLower(s), nil
}

func checkScope(s string) (string, error) {
	plain := []string{"queue:read", "queue:write", "submit", "metrics", "events", "tokens"}
	for _, p := range plain {
		if s == p {
			return s, nil
		}
	}
	if f, ok := strings.CutPrefix(s, "filter:"); ok && (f == "*" || checkName(f) == nil) {
		return s, nil
	}
	hint := "one of " + strings.Join(plain, ", ") + ", filter:NAME"
	if n := nearest(s, plain); n != "" {
		hint = "did you mean \"" + n + "\"?"
	}
	return "", hinted{"%q is not a scope", hint, s}
}

// ParseTime reads a date (its beginning in UTC) or a time of RFC 3339.
func ParseTime(s string) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, hinted{"%q is not a date", "write 2027-01-31 or 2027-01-31T12:00:00Z", s}
}
