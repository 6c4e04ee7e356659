package milterfilter

import (
	"strings"
	"unicode/utf8"

	"mtad/queue"
)

// fieldValue makes a milter's header value one that cannot end its field. Line
// ends come out as LF; lines of white space alone are left out, since readers take
// them for the end of the header section, and a further line that does not begin
// with white space gets a tab. Everything else stays, octet for octet.
func fieldValue(v string) string {
	if strings.IndexByte(v, '\r') >= 0 {
		v = strings.ReplaceAll(strings.ReplaceAll(v, "\r\n", "\n"), "\r", "")
	}
	if strings.IndexByte(v, '\n') < 0 {
		return v
	}
	first, rest, _ := strings.Cut(v, "\n")
	b := append(make([]byte, 0, len(v)+8), first...)
	for line := range strings.SplitSeq(rest, "\n") {
		if strings.Trim(line, " \t") == "" {
			continue
		}
		b = append(b, '\n')
		if line[0] != ' ' && line[0] != '\t' {
			b = append(b, '\t')
		}
		b = append(b, line...)
	}
	return string(b)
}

// clean makes a text for people: UTF-8 in one line, bounded.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == utf8.RuneError {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > queue.MaxText {
		s = strings.ToValidUTF8(s[:queue.MaxText], "")
	}
	return s
}
