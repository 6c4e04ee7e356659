package sendmail

import (
	"errors"
	"strings"

	"mtad/internal/submission"
)

var errAddress = errors.New("not an address list")

// addresses reads an address list as header fields and command lines have it
// (RFC 5322 §3.4): names, comments, groups, source routes, and local parts alone.
// The results are canonical; <> is left out.
func addresses(list string) (out []string, err error) {
	s := scanner{in: list}
	for {
		text, end, err := s.mailbox()
		if err != nil {
			return nil, err
		}
		if text != "" && text != "<>" {
			path, err := submission.ParseAddress(text)
			if err != nil || path == "" {
				return nil, errAddress
			}
			if again, err := submission.ParseAddress("<" + path + ">"); err != nil || again != path {
				return nil, errAddress // what cannot be written into an envelope
			}
			out = append(out, path)
		}
		if end {
			return out, nil
		}
	}
}

// scanner takes mailboxes off an address list, one after the other.
type scanner struct {
	in string
	i  int
}

// mailbox reads up to the next comma, the end of a group or that of the list. text is
// "" where nothing stands, and else in brackets.
func (s *scanner) mailbox() (text string, end bool, err error) {
	var bare strings.Builder // outside of brackets
	angle, inAngle, gap := "", false, false
	add := func(part string) {
		if gap && bare.Len() > 0 && !joins(bare.String(), part) {
			bare.WriteByte(' ')
		}
		gap = false
		bare.WriteString(part)
	}
	for s.i < len(s.in) {
		switch c := s.in[s.i]; c {
		case ' ', '\t', '\r', '\n':
			gap = true
			s.i++
		case '(':
			if !s.comment() {
				return "", false, errAddress
			}
			gap = true
		case '"', '[':
			part, ok := s.quoted(map[byte]byte{'"': '"', '[': ']'}[c])
			if !ok {
				return "", false, errAddress
			}
			add(part)
		case '<':
			if inAngle {
				return "", false, errAddress
			}
			inAngle = true
			if angle, err = s.angle(); err != nil {
				return "", false, err
			}
		case ':': // what was before is the name of a group
			bare.Reset()
			angle, inAngle = "", false
			s.i++
		case ',', ';':
			s.i++
			return choose(angle, bare.String()), false, nil
		default:
			n := strings.IndexAny(s.in[s.i:], " \t\r\n(\"[<:,;")
			if n < 0 {
				n = len(s.in) - s.i
			}
			add(s.in[s.i : s.i+n])
			s.i += n
		}
	}
	return choose(angle, bare.String()), true, nil
}

// joins says that white space between two parts of an address means nothing.
func joins(before, after string) bool {
	return strings.HasSuffix(before, "@") || strings.HasSuffix(before, ".") || strings.HasPrefix(after, "@") || strings.HasPrefix(after, ".")
}

func choose(angle, bare string) string {
	switch {
	case angle != "":
		return angle
	case bare == "":
		return ""
	}
	return "<" + bare + ">"
}

// comment passes over a comment, which may hold others.
func (s *scanner) comment() bool {
	for depth := 0; s.i < len(s.in); s.i++ {
		switch s.in[s.i] {
		case '\\':
			s.i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				s.i++
				return true
			}
		}
	}
	return false
}

// quoted reads a quoted string or a domain literal with its marks.
func (s *scanner) quoted(mark byte) (string, bool) {
	for i := s.i + 1; i < len(s.in); i++ {
		switch s.in[i] {
		case '\\':
			i++
		case mark:
			text := s.in[s.i : i+1]
			s.i = i + 1
			return text, true
		}
	}
	return "", false
}

// angle reads what stands in brackets, with them and without white space and comments.
func (s *scanner) angle() (string, error) {
	b := []byte{'<'}
	s.i++
	for s.i < len(s.in) {
		switch c := s.in[s.i]; c {
		case ' ', '\t', '\r', '\n':
			s.i++
		case '(':
			if !s.comment() {
				return "", errAddress
			}
		case '"', '[':
			part, ok := s.quoted(map[byte]byte{'"': '"', '[': ']'}[c])
			if !ok {
				return "", errAddress
			}
			b = append(b, part...)
		case '>':
			s.i++
			return string(append(b, '>')), nil
		default:
			b = append(b, c)
			s.i++
		}
	}
	return "", errAddress
}
