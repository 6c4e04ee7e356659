package mailscanner

import (
	"bufio"
	"bytes"
	"io"
	"strings"
)

// maxHeader bounds the header sections that are compared field by field, in octets.
const maxHeader = 1 << 20

// message is a message cut as mtad cuts it for header edits (spec/filter.md §7):
// lines before the first field that belong to none, fields with the lines that go on
// with them, and from the first other line on the body.
type message struct {
	junk   []byte
	fields [][]byte
	// separated: an empty line stands between header section and body; body begins
	// behind it.
	separated bool
	body      *bufio.Reader
}

// readMessage cuts a message up. A header section longer than maxHeader is errHeader,
// and r is used up in part.
func readMessage(r *bufio.Reader) (*message, error) {
	m := &message{body: r}
	for left := maxHeader; ; {
		line, err := readLine(r, left)
		switch {
		case err == io.EOF:
			return m, nil
		case err == errDamaged:
			return nil, errHeader
		case err != nil:
			return nil, err
		}
		left -= len(line)
		switch {
		case nameLen(line) > 0 && !m.mboxLine(line):
			m.fields = append(m.fields, line)
		case continues(line) && len(m.fields) > 0:
			last := &m.fields[len(m.fields)-1]
			*last = append(*last, line...)
		case continues(line), m.mboxLine(line):
			m.junk = append(m.junk, line...)
		default:
			m.end(line, r)
			return m, nil
		}
	}
}

// mboxLine reports whether line is the mark of an mbox at the very beginning.
// "From :" is a field.
func (m *message) mboxLine(line []byte) bool {
	return nameLen(line) == 0 && len(m.junk) == 0 && len(m.fields) == 0 && line[len(line)-1] == '\n' &&
		(bytes.HasPrefix(line, []byte("From ")) || bytes.HasPrefix(line, []byte(">From ")))
}

func (m *message) end(line []byte, r *bufio.Reader) {
	if m.separated = len(bytes.TrimRight(line, "\r\n")) == 0; !m.separated {
		m.body = bufio.NewReader(io.MultiReader(bytes.NewReader(line), r))
	}
}

// empty reports whether there is no body.
func (m *message) empty() bool {
	_, err := m.body.Peek(1)
	return err == io.EOF
}

// whole is the message again.
func (m *message) whole() io.Reader {
	head := bytes.Join(append([][]byte{m.junk}, m.fields...), nil)
	if m.separated {
		head = append(head, '\n')
	}
	return io.MultiReader(bytes.NewReader(head), m.body)
}

// dropPreamble removes the bridge's own fields.
func (m *message) dropPreamble(name string) {
	kept := m.fields[:0]
	for _, f := range m.fields {
		if !isPreamble(string(f), name) {
			kept = append(kept, f)
		}
	}
	m.fields = kept
}

// nameLen is the length of the field name at the start of line, 0 when there is none
// (RFC 5322 §3.6.8; white space before the colon is the obsolete form of §4.5).
func nameLen(line []byte) int {
	n := bytes.IndexFunc(line, func(r rune) bool { return r < 33 || r > 126 || r == ':' })
	if n <= 0 || !strings.HasPrefix(strings.TrimLeft(string(line[n:min(len(line), n+maxHeader)]), " \t"), ":") {
		return 0
	}
	return n
}

func continues(line []byte) bool { return line[0] == ' ' || line[0] == '\t' }
