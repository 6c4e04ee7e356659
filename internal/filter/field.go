package filter

import (
	"bytes"
	"io"
)

// Field is a header field as edits count them.
type Field struct {
	Name string // as it stands there, without white space before the colon
	// Value is every octet behind the colon but the line end that closes the field.
	Value []byte
}

// ReadFields reads the header section of r, which may have maxHeader octets, and
// cuts it into fields: the one at position i is the one that a header_insert with
// Index i is put before. What stands before the first field and is none (an mbox
// line) is left out. body reads what comes after the separator. A longer section
// is a *VerdictError.
func ReadFields(r io.Reader, maxHeader int) (fields []Field, body io.Reader, err error) {
	cur, err := readHeader(r, maxHeader)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range parseSection(cur.header, cur.after).fields {
		n := nameLen(f)
		_, value, _ := bytes.Cut(f[n:], []byte(":"))
		value = bytes.TrimSuffix(bytes.TrimSuffix(value, []byte("\n")), []byte("\r"))
		fields = append(fields, Field{Name: string(f[:n]), Value: value})
	}
	rest := cur.after[len(separator(cur.after)):]
	return fields, io.MultiReader(bytes.NewReader(rest), r), nil
}
