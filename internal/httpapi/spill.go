package httpapi

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"mtad/filterproto"
)

// Bounds of a JSON body whose strings may be long.
const (
	besideString  = 8 << 10  // octets of a string; a longer one is kept beside the rest, in memory
	spillString   = 64 << 10 // octets of a string; a longer one goes to the file
	spillWhenFull = 1 << 20  // octets of the rest; with more, every string above spillLeast goes there
	spillLeast    = 1 << 10
	maxSkeleton   = 4 << 20 // octets of the rest
)

// spilled is a JSON body without its long strings: those are, unescaped, beside it,
// the longest in a file that has no name any more. In their place stands a word that nobody can know
// beforehand, for it is made for this body alone.
type spilled struct {
	skeleton []byte
	dir      string
	word     string
	file     *os.File
	out      *bufio.Writer
	size     int64
	kept     int // octets beside
	places   map[string]*io.SectionReader
	beside   map[string][]byte // those of places that are in memory
}

func (s *spilled) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// text is the value of a string that is in memory.
func (s *spilled) text(v string) (string, bool) {
	if b, ok := s.beside[v]; ok {
		return string(b), true
	}
	_, inFile := s.places[v]
	return v, !inFile
}

// long is a string that is not in its place.
func (s *spilled) long(v string) (*io.SectionReader, bool) {
	r, ok := s.places[v]
	return r, ok
}

// spill reads a body to its end. Strings are checked: UTF-8, escapes that exist, no
// halves of surrogates; all else is left to the parser. Memory is bounded whatever
// comes. Close is the caller's also after an error.
func spill(r io.Reader, dir string) (*spilled, error) {
	s := &spilled{dir: dir, word: "\x00" + rand.Text(), places: map[string]*io.SectionReader{}, beside: map[string][]byte{}}
	br := bufio.NewReaderSize(r, 8<<10)
	for {
		c, err := br.ReadByte()
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		if err != nil {
			return s, err
		}
		if len(s.skeleton) >= maxSkeleton {
			return s, fail(filterproto.CodeBodyTooLarge, "too many or too long values besides text, html and attachments")
		}
		s.skeleton = append(s.skeleton, c)
		if c == '"' {
			if err := s.str(br); err != nil {
				return s, err
			}
		}
	}
}

// str reads a string behind its first quote.
func (s *spilled) str(br *bufio.Reader) error {
	start := len(s.skeleton)
	escaped := false
	for {
		part, err := peek(br)
		if err != nil {
			return err
		}
		n, ended := quoteIn(part, &escaped)
		s.skeleton = append(s.skeleton, part[:n]...)
		_, _ = br.Discard(n) // it was peeked at
		size := len(s.skeleton) - start
		if ended {
			if size > besideString {
				return s.aside(start)
			}
			return s.short(s.skeleton[start : len(s.skeleton)-1])
		}
		if size > spillString || size > spillLeast && len(s.skeleton)+s.kept > spillWhenFull {
			break
		}
	}
	u := &unescaper{sink: s.write}
	at := s.size
	if err := s.open(); err != nil {
		return err
	}
	if err := u.feed(s.skeleton[start:]); err != nil {
		return err
	}
	s.skeleton = s.skeleton[:start]
	if err := s.rest(br, u, escaped); err != nil {
		return err
	}
	s.place(io.NewSectionReader(s.file, at, s.size-at))
	return nil
}

// place puts a word where a string was.
func (s *spilled) place(r *io.SectionReader) (name string) {
	name = s.word + strconv.Itoa(len(s.places))
	s.places[name] = r
	s.skeleton = append(append(append(s.skeleton, `\u0000`...), name[1:]...), '"')
	return name
}

// aside takes the string at the end, which is whole, out of the rest.
func (s *spilled) aside(start int) error {
	escaped := s.skeleton[start : len(s.skeleton)-1]
	b := make([]byte, 0, len(escaped))
	u := &unescaper{sink: func(p []byte) error {
		b = append(b, p...)
		return nil
	}}
	if err := u.feed(escaped); err != nil {
		return err
	}
	s.kept += len(b)
	s.skeleton = s.skeleton[:start]
	s.beside[s.place(io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b))))] = b
	return u.end()
}

// rest sends what is left of a string to the file.
func (s *spilled) rest(br *bufio.Reader, u *unescaper, escaped bool) error {
	for {
		part, err := peek(br)
		if err != nil {
			return err
		}
		n, ended := quoteIn(part, &escaped)
		text := part[:n]
		if ended {
			text = part[:n-1]
		}
		if err := u.feed(text); err != nil {
			return err
		}
		_, _ = br.Discard(n)
		if !ended {
			continue
		}
		if err := u.end(); err != nil {
			return err
		}
		return s.out.Flush()
	}
}

// peek is what there is, at least one octet.
func peek(br *bufio.Reader) ([]byte, error) {
	if _, err := br.Peek(1); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errJSON
		}
		return nil, err
	}
	return br.Peek(br.Buffered())
}

// quoteIn looks for the quote that ends a string: n octets belong to it, the quote
// among them.
func quoteIn(b []byte, escaped *bool) (n int, ended bool) {
	for i, c := range b {
		switch {
		case *escaped:
			*escaped = false
		case c == '\\':
			*escaped = true
		case c == '"':
			return i + 1, true
		}
	}
	return len(b), false
}

// short checks a string that stays.
func (s *spilled) short(b []byte) error {
	u := &unescaper{sink: func([]byte) error { return nil }}
	if err := u.feed(b); err != nil {
		return err
	}
	return u.end()
}

func (s *spilled) open() error {
	if s.file != nil {
		return nil
	}
	f, err := os.CreateTemp(s.dir, ".upload-*")
	if err != nil {
		return err
	}
	s.file, s.out = f, bufio.NewWriterSize(f, 64<<10)
	return os.Remove(f.Name())
}

func (s *spilled) write(b []byte) error {
	n, err := s.out.Write(b)
	s.size += int64(n)
	return err
}

var errJSON = fail(filterproto.CodeInvalidJSON, "malformed JSON")

// unescaper undoes the escapes of a JSON string (RFC 8259 §7) that comes in pieces.
type unescaper struct {
	sink  func([]byte) error
	carry []byte // of an escape or a character that is not whole
	high  rune   // the first half of a pair
}

// feed takes the next octets.
func (u *unescaper) feed(b []byte) error {
	for len(u.carry) > 0 && len(b) > 0 {
		u.carry = append(u.carry, b[0])
		b = b[1:]
		n, err := u.special(u.carry)
		if err != nil {
			return err
		}
		if n > 0 {
			u.carry = u.carry[:0]
		}
	}
	from := 0
	flush := func(to int) error {
		if to == from {
			return nil
		}
		return u.sink(b[from:to])
	}
	for i := 0; i < len(b); {
		c := b[i]
		if u.high == 0 && c >= ' ' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if err := flush(i); err != nil {
			return err
		}
		n, err := u.special(b[i:])
		if err != nil {
			return err
		}
		if n == 0 {
			u.carry = append(u.carry[:0], b[i:]...)
			return nil
		}
		i += n
		from = i
	}
	return flush(len(b))
}

// end says whether the string may end here.
func (u *unescaper) end() error {
	if len(u.carry) > 0 || u.high != 0 {
		return errJSON
	}
	return nil
}

// special takes an escape or a character of several octets off the front of b: n
// octets, 0 when there is more to come.
func (u *unescaper) special(b []byte) (n int, err error) {
	switch c := b[0]; {
	case c < ' ':
		return 0, errJSON
	case c != '\\' && u.high != 0:
		return 0, errSurrogate
	case c != '\\':
		if !utf8.FullRune(b) {
			return 0, nil
		}
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			return 0, fail(filterproto.CodeInvalidJSON, "not UTF-8")
		}
		return n, u.sink(b[:n])
	case len(b) < 2:
		return 0, nil
	case b[1] == 'u':
		return u.unicode(b)
	case u.high != 0:
		return 0, errSurrogate
	}
	for i, c := range []byte(`"\/bfnrt`) {
		if b[1] == c {
			return 2, u.sink([]byte("\"\\/\b\f\n\r\t")[i : i+1])
		}
	}
	return 0, errJSON
}

var errSurrogate = fail(filterproto.CodeInvalidJSON, "half of a surrogate pair")

func (u *unescaper) unicode(b []byte) (int, error) {
	if len(b) < 6 {
		return 0, nil
	}
	v, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	if err != nil {
		return 0, errJSON
	}
	r := rune(v)
	switch {
	case u.high != 0:
		if r = utf16.DecodeRune(u.high, r); r == utf8.RuneError {
			return 0, errSurrogate
		}
		u.high = 0
	case r >= 0xdc00 && r < 0xe000:
		return 0, errSurrogate
	case r >= 0xd800 && r < 0xdc00:
		u.high = r
		return 6, nil
	}
	return 6, u.sink(utf8.AppendRune(nil, r))
}
