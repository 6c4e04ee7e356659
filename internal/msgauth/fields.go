package msgauth

import (
	"bytes"
	"errors"
	"io"
	"strings"
)

// Bounds of a message whose signatures are made or verified. go-msgauth joins
// the lines of a field one by one, looks for each signed name among all fields,
// and keeps a run of line ends in memory: these keep it from squares.
const (
	maxFields = 2000     // header fields
	maxJoin   = 64 << 20 // octets copied to join the lines of fields
	maxNames  = 500      // names in one h=
	maxRun    = 64 << 10 // octets of CR and LF in a row, in the body
)

// ErrUnsignable: the message is beyond the bounds of signatures.
var ErrUnsignable = errors.New("msgauth: the message is too odd for a signature")

// field is one header field with its line ends.
type field struct {
	name  string // without white space at its end
	value string // behind the colon, as it is
}

// fieldsOf cuts a header section, without its separator.
func fieldsOf(header []byte) []field {
	var list []field
	for len(header) > 0 {
		n := fieldLen(header)
		name, value, _ := strings.Cut(string(header[:n]), ":")
		list = append(list, field{strings.TrimSpace(name), value})
		header = header[n:]
	}
	return list
}

// fieldLen is the length of the field that b begins with.
func fieldLen(b []byte) int {
	n := 0
	for {
		i := bytes.IndexByte(b[n:], '\n')
		if i < 0 {
			return len(b)
		}
		if n += i + 1; n == len(b) || b[n] != ' ' && b[n] != '\t' {
			return n
		}
	}
}

// values are those of the fields of a name.
func values(fields []field, name string) []string {
	var list []string
	for _, f := range fields {
		if strings.EqualFold(f.name, name) {
			list = append(list, f.value)
		}
	}
	return list
}

// Signable reports whether a header section is within the bounds of signatures:
// up to 2000 fields, and no field of a great many lines.
func Signable(header []byte) bool {
	fields, join := 0, 0
	for len(header) > 0 {
		n := fieldLen(header)
		fields++
		join += n * bytes.Count(header[:n], []byte("\n"))
		header = header[n:]
	}
	return fields <= maxFields && join <= maxJoin
}

// message puts header, separator and body together.
func message(header []byte, body io.Reader) io.Reader {
	sep := "\r\n"
	if n := len(header); n > 0 && header[n-1] != '\n' {
		sep = "\r\n\r\n"
	}
	return io.MultiReader(bytes.NewReader(header), strings.NewReader(sep), body)
}

// guard reads a body. Errors become the end, so that goroutines of those who
// read come to theirs, and are told by err.
type guard struct {
	r   io.Reader
	run int
	err error
}

// Read implements io.Reader.
func (g *guard) Read(p []byte) (int, error) {
	if g.err != nil {
		return 0, io.EOF
	}
	n, err := g.r.Read(p)
	for _, c := range p[:n] {
		if c != '\r' && c != '\n' {
			g.run = 0
		} else if g.run++; g.run > maxRun {
			g.err = ErrUnsignable
			return 0, io.EOF
		}
	}
	if err != nil && err != io.EOF {
		g.err, err = err, io.EOF
	}
	return n, err
}
