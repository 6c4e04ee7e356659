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
	rest := cur.after[len(separator(cur.after)):]
	return fieldsOf(parseSection(cur.header, cur.after)), io.MultiReader(bytes.NewReader(rest), r), nil
}

// ReadHeader reads the header section of r, which may have maxHeader octets, as
// exact octets: what stands before the first field and is none is left out, and so
// is the separator. body reads what comes after that. A longer section is a
// *VerdictError.
func ReadHeader(r io.Reader, maxHeader int) (header []byte, body io.Reader, err error) {
	cur, err := readHeader(r, maxHeader)
	if err != nil {
		return nil, nil, err
	}
	junk := len(parseSection(cur.header, cur.after).junk)
	rest := cur.after[len(separator(cur.after)):]
	return cur.header[junk:], io.MultiReader(bytes.NewReader(rest), r), nil
}

// Hidden reads on behind a header section that ends without an empty line, up to
// the next one, and returns what looks like fields there: other readers may take
// them for some. r begins where the header section did, which may have maxHeader
// octets; as many are looked at behind it.
func Hidden(r io.Reader, maxHeader int) ([]Field, error) {
	cur, err := readHeader(r, maxHeader)
	if err != nil || separator(cur.after) != nil {
		return nil, err
	}
	rest, err := io.ReadAll(io.LimitReader(io.MultiReader(bytes.NewReader(cur.after), r), int64(maxHeader)))
	if err != nil {
		return nil, err
	}
	var fields []Field
	for len(rest) > 0 && separator(rest) == nil {
		line, _ := lineAt(rest)
		end := len(line)
		if nameLen(line) > 0 {
			end, _ = headerEnd(rest, true)
			fields = append(fields, fieldsOf(parseSection(rest[:end], nil))...)
		}
		rest = rest[end:]
	}
	return fields, nil
}

func fieldsOf(s section) (fields []Field) {
	for _, f := range s.fields {
		n := nameLen(f)
		_, value, _ := bytes.Cut(f[n:], []byte(":"))
		value = bytes.TrimSuffix(bytes.TrimSuffix(value, []byte("\n")), []byte("\r"))
		fields = append(fields, Field{Name: string(f[:n]), Value: value})
	}
	return fields
}
