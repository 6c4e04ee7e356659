package sendmail

import (
	"bytes"
	"errors"
	"io"
	"strings"
)

// maxHeader bounds the octets of a header section.
const maxHeader = 1 << 20

// DataError is a message that cannot be taken as it is.
type DataError struct{ Reason string }

func (e *DataError) Error() string { return e.Reason }

// field is a header field with its lines, ends included.
type field struct {
	name string // lower case, without the colon
	raw  []byte
}

// value is the field's text behind the colon, unfolded.
func (f *field) value() string {
	_, v, _ := bytes.Cut(f.raw, []byte{':'})
	return strings.TrimSpace(strings.NewReplacer("\r\n", "", "\n", "", "\x00", "").Replace(string(v)))
}

// header is a header section as it was read.
type header struct {
	fields []field
	// rest is what was read behind it already: the blank line, or the first line of a
	// body that none stands before.
	rest []byte
	crlf bool // the first line ended so
}

// readHeader reads a header section. It ends with a blank line, with the text, or
// before the first line that is no field. An mbox "From " line in front is dropped.
func readHeader(t *text) (*header, error) {
	h := &header{}
	size, first := 0, true
	for {
		line, err := t.part()
		if errors.Is(err, io.EOF) {
			return h, nil
		}
		if err != nil {
			return nil, err
		}
		if first {
			h.crlf = bytes.HasSuffix(line, []byte("\r\n"))
			if len(h.fields) == 0 && isFromLine(line) && !t.mid {
				continue
			}
		}
		first = false
		if size += len(line); size > maxHeader {
			return nil, &DataError{"the header section is too large"}
		}
		if !h.take(line, t) {
			return h, nil
		}
	}
}

// isFromLine reports an mbox line. "From :" is the author's field (RFC 5322 §4.5).
func isFromLine(line []byte) bool {
	return fieldName(line) == "" && (bytes.HasPrefix(line, []byte("From ")) || bytes.HasPrefix(line, []byte(">From ")))
}

// take adds a line; false: the section has ended before or with it.
func (h *header) take(line []byte, t *text) bool {
	n := len(h.fields)
	switch name := fieldName(line); {
	case n > 0 && (line[0] == ' ' || line[0] == '\t' || !endsLine(h.fields[n-1].raw)):
		h.fields[n-1].raw = append(h.fields[n-1].raw, line...)
	case name != "":
		h.fields = append(h.fields, field{name, bytes.Clone(line)})
	case len(bytes.TrimRight(line, "\r\n")) == 0 && !t.mid:
		h.rest = bytes.Clone(line)
		return false
	default: // the blank line was forgotten
		h.rest = append([]byte("\n"), line...)
		return false
	}
	return true
}

func endsLine(b []byte) bool { return bytes.HasSuffix(b, []byte{'\n'}) }

// fieldName is the name of the field that a line begins, in lower case, or "".
func fieldName(line []byte) string {
	name, _, ok := bytes.Cut(line, []byte{':'})
	name = bytes.TrimRight(name, " \t") // obs-optional (RFC 5322 §4.5)
	if !ok || len(name) == 0 || len(name) > 998 {
		return ""
	}
	for _, c := range name {
		if c <= ' ' || c > '~' {
			return ""
		}
	}
	return strings.ToLower(string(name))
}

// has says whether there is a field of this name, in lower case.
func (h *header) has(name string) bool {
	for i := range h.fields {
		if h.fields[i].name == name {
			return true
		}
	}
	return false
}

// resent says whether there are Resent- fields: the message is handed on, and they
// are the ones that count (RFC 5322 §3.6.6).
func (h *header) resent() bool {
	for i := range h.fields {
		if strings.HasPrefix(h.fields[i].name, "resent-") {
			return true
		}
	}
	return false
}

// recipients are those that the fields name: of the Resent- fields if there are
// any, otherwise of the others.
func (h *header) recipients() ([]string, error) {
	var plain, again []string
	for i := range h.fields {
		f := &h.fields[i]
		list := &plain
		name, resent := strings.CutPrefix(f.name, "resent-")
		if resent {
			list = &again
		}
		if name != "to" && name != "cc" && name != "bcc" {
			continue
		}
		got, err := addresses(f.value())
		if err != nil {
			return nil, &DataError{"a recipient in the header section is " + errNotAddress}
		}
		*list = append(*list, got...)
	}
	if len(again) > 0 {
		return again, nil
	}
	return plain, nil
}

const errNotAddress = "not an address"

// dropped are fields that tell what only the envelope may know, or what is not
// true any more.
func dropped(name string) bool {
	return name == "bcc" || name == "resent-bcc" || name == "return-path" || name == "content-length"
}
