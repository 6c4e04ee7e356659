package filter

import "bytes"

// section is a message's header section cut into fields, each with its octets as
// they are. Concatenated, junk and fields give the section back bit by bit.
//
// A field begins with a name and a colon (RFC 5322 §2.2; white space before the
// colon is the obsolete form of §4.5) and goes on over lines that begin with white
// space. The section ends before the first line that is neither: the empty line,
// or, in a message without one, whatever else comes, or the end. A leading mbox
// "From " line is junk before the first field, and so are lines that begin with
// white space and have no field to go on with: put behind a new field they would
// become part of it.
type section struct {
	junk   []byte
	fields [][]byte
	eol    string // line end of added fields: as the first line has it, else CRLF
}

// headerEnd finds the length of the header section at the start of b. complete is
// false when b ends before the section is known to, and more octets may belong
// to it; atEOF says that there are no more.
func headerEnd(b []byte, atEOF bool) (n int, complete bool) {
	pos := junkLen(b)
	if pos == 0 && mayBeJunk(b) && !atEOF {
		return 0, false
	}
	for pos < len(b) {
		line, terminated := lineAt(b[pos:])
		if !terminated && !atEOF {
			// Only a whole line tells what it is.
			return pos, false
		}
		if nameLen(line) == 0 && !continues(line) {
			return pos, true
		}
		pos += len(line)
	}
	return pos, atEOF
}

// parseSection cuts a header section whose end headerEnd found. after is what
// follows it (some of it is enough): it shows the line end of a message without
// fields.
func parseSection(h, after []byte) section {
	n := junkLen(h)
	for continues(h[n:]) {
		line, _ := lineAt(h[n:])
		n += len(line)
	}
	s := section{junk: h[:n], eol: eolOf(h, after)}
	for h = h[n:]; len(h) > 0; {
		end := 0
		for {
			line, _ := lineAt(h[end:])
			end += len(line)
			if end == len(h) || !continues(h[end:]) {
				break
			}
		}
		s.fields = append(s.fields, h[:end:end])
		h = h[end:]
	}
	return s
}

// bytes puts the section together again. A field without a line end gets one when
// another follows: the one octet that an edit elsewhere may add.
func (s *section) bytes() []byte {
	n := len(s.junk)
	for _, f := range s.fields {
		n += len(f) + len(s.eol)
	}
	out := append(make([]byte, 0, n), s.junk...)
	for _, f := range s.fields {
		if len(out) > 0 && out[len(out)-1] != '\n' {
			out = append(out, s.eol...)
		}
		out = append(out, f...)
	}
	return out
}

// find returns the position of the n-th field (1 is the first) called name, or -1.
func (s *section) find(name string, n int) int {
	for i, f := range s.fields {
		if isNamed(f, name) {
			if n--; n <= 0 {
				return i
			}
		}
	}
	return -1
}

// isNamed compares a field's name, case-insensitively (RFC 5322 §1.2.2).
func isNamed(field []byte, name string) bool {
	n := nameLen(field)
	return n == len(name) && bytes.EqualFold(field[:n], []byte(name))
}

// nameLen is the length of the field name that line begins with, 0 when it begins
// with none: printable US-ASCII but the colon (RFC 5322 §3.6.8), then a colon.
func nameLen(line []byte) int {
	n := 0
	for n < len(line) && nameByte(line[n]) {
		n++
	}
	for i := n; i < len(line); i++ {
		switch line[i] {
		case ':':
			return n
		case ' ', '\t':
		default:
			return 0
		}
	}
	return 0
}

func nameByte(c byte) bool { return 33 <= c && c <= 126 && c != ':' }

func continues(line []byte) bool { return len(line) > 0 && (line[0] == ' ' || line[0] == '\t') }

// lineAt returns the first line of b with its line end, and whether it has one.
// Only LF ends a line; a bare CR is an octet like others.
func lineAt(b []byte) (line []byte, terminated bool) {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return b[:i+1], true
	}
	return b, false
}

var mboxMarks = [...]string{"From ", ">From "}

// junkLen is the length of an mbox "From " line at the start of b, or 0. With
// nothing but white space before a colon it is a field: the author's.
func junkLen(b []byte) int {
	for _, m := range mboxMarks {
		if bytes.HasPrefix(b, []byte(m)) {
			if line, ok := lineAt(b); ok && nameLen(line) == 0 {
				return len(line)
			}
		}
	}
	return 0
}

// mayBeJunk reports whether b could still grow into an mbox line.
func mayBeJunk(b []byte) bool {
	if bytes.IndexByte(b, '\n') >= 0 {
		return false
	}
	for _, m := range mboxMarks {
		n := min(len(m), len(b))
		if string(b[:n]) == m[:n] {
			return true
		}
	}
	return false
}

// eolOf is the line end of the first line of h, or of what follows an empty h.
func eolOf(h, after []byte) string {
	b := h
	if bytes.IndexByte(b, '\n') < 0 {
		b = after
	}
	i := bytes.IndexByte(b, '\n')
	if i == 0 || i > 0 && b[i-1] != '\r' {
		return "\n"
	}
	return "\r\n"
}
