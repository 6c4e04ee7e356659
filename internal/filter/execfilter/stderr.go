package execfilter

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds of what is kept of standard error, in octets.
const (
	maxStderr = 2000
	maxTail   = 300
)

// stderr keeps the start of what a program says, and counts the rest.
type stderr struct {
	kept  []byte
	total int64
}

// Write never fails: the program is not to be stopped by its own words.
func (s *stderr) Write(p []byte) (int, error) {
	s.total += int64(len(p))
	s.kept = append(s.kept, p[:min(len(p), maxStderr-len(s.kept))]...)
	return len(p), nil
}

// String is what was kept, in one line of printable text.
func (s *stderr) String() string { return printable(strings.TrimSpace(string(s.kept))) }

// tail is ": " and the first line, or nothing.
func (s *stderr) tail() string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(s.kept)), "\n")
	if line == "" {
		return ""
	}
	return ": " + printable(line[:min(len(line), maxTail)])
}

// printable escapes control characters, line ends among them, and octets that are
// no text.
func printable(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\\':
			b.WriteString(`\\`)
		case isControl(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}
