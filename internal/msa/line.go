package msa

import "bytes"

// class is what the beginning of a line in a header section says of it.
type class uint8

const (
	unsure    class = iota // more octets are needed
	field                  // a field begins
	folded                 // a field goes on
	empty                  // the header section ends
	foreign                // no header field: the body begins without an empty line
	separator              // a line of mbox at the front, which is let pass
)

// maxName bounds the name of a field: no line is longer (RFC 5322 §2.1.1).
const maxName = 998

// classify looks at the beginning of a line; first says that it is that of the
// message. For a field, name is its name.
func classify(b []byte, first bool) (c class, name []byte) {
	switch {
	case len(b) == 0:
		return unsure, nil
	case b[0] == '\n':
		return empty, nil
	case b[0] == '\r':
		return afterCR(b), nil
	case b[0] == ' ' || b[0] == '\t':
		if first {
			return foreign, nil
		}
		return folded, nil
	}
	c, name = fieldLine(b)
	if c == foreign && first && isSeparator(b) {
		return separator, nil
	}
	return c, name
}

func afterCR(b []byte) class {
	switch {
	case len(b) == 1:
		return unsure
	case b[1] == '\n':
		return empty
	}
	return foreign
}

// isSeparator says whether the first line is one of mbox, which programs leave at
// the front.
func isSeparator(b []byte) bool {
	return bytes.HasPrefix(b, []byte("From ")) || bytes.HasPrefix(b, []byte(">From "))
}

// fieldLine reads a field's name up to its colon; blanks before the colon are
// let pass (RFC 5322 §4.5.8).
func fieldLine(b []byte) (class, []byte) {
	for i, c := range b {
		switch {
		case c == ':':
			name := bytes.TrimRight(b[:i], " \t")
			if len(name) == 0 || bytes.ContainsAny(name, " \t") {
				return foreign, nil
			}
			return field, name
		case c < ' ' && c != '\t' || c >= 0x7f || i >= maxName:
			return foreign, nil
		}
	}
	return unsure, nil
}
