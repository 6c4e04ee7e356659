package auth

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Bounds of a password file.
const (
	maxTable     = 64 << 20
	maxTableLine = 4096
	maxLogin     = 255
)

// table is a password file as it was read; never changed.
type table struct {
	byName map[string]*secret
	names  []string // sorted
	scram  bool     // every login has SCRAM keys
}

// parseTable reads a password file: "login:hash" in each line, fields behind the
// second one of no interest (those of a Dovecot passwd-file), "#" begins a
// comment line. A login may have two lines, a hash and SCRAM keys. A hash that
// begins with "!" or "*" shuts the login, also where its other line does not.
// Letters of a login are compared in lower case.
func parseTable(r io.Reader) (*table, error) {
	t := &table{byName: map[string]*secret{}}
	lines := bufio.NewScanner(io.LimitReader(r, maxTable+1))
	lines.Buffer(make([]byte, 0, maxTableLine), maxTableLine)
	size, n := 0, 0
	for lines.Scan() {
		n++
		if size += len(lines.Bytes()) + 1; size > maxTable {
			return nil, fmt.Errorf("more than %d octets", maxTable)
		}
		if err := t.line(lines.Bytes()); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", n+1, err)
	}
	t.finish()
	return t, nil
}

func (t *table) line(b []byte) error {
	b = bytes.TrimSuffix(b, []byte("\r"))
	if len(bytes.TrimSpace(b)) == 0 || b[0] == '#' {
		return nil
	}
	name, rest, ok := strings.Cut(string(b), ":")
	if !ok {
		return fmt.Errorf("no colon behind the login")
	}
	name = Fold(name)
	if !ValidLogin(name) {
		return fmt.Errorf("the login is empty, too long, or has control characters or blanks")
	}
	hash, _, _ := strings.Cut(rest, ":")
	s := t.byName[name]
	if s == nil {
		s = &secret{}
		t.byName[name] = s
	}
	if strings.HasPrefix(hash, "!") || strings.HasPrefix(hash, "*") {
		s.shut = true
		return nil
	}
	return s.add(hash)
}

func (t *table) finish() {
	t.scram = len(t.byName) > 0
	for name, s := range t.byName {
		if s.shut {
			s.digest, s.keys = nil, nil
		}
		t.names = append(t.names, name)
		t.scram = t.scram && s.keys != nil
	}
	slices.Sort(t.names)
}

// ValidLogin says whether s can be a login: up to 255 octets without blanks,
// colons and control characters.
func ValidLogin(s string) bool {
	return s != "" && len(s) <= maxLogin && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == ':' })
}

// Fold is the form in which logins are compared: ASCII letters in lower case.
func Fold(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}
