package mtahooksfilter

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"mtad/internal/filter"
	"mtad/internal/filter/scanner"
)

const (
	// spillFrom is the length from which on a string goes where messages go.
	spillFrom = 64 << 10
	// spilledValue stands for it. No other value of an answer may be a NUL.
	spilledValue = `\u0000`
	quantum      = 4 << 10 // octets of base64 decoded at a time
)

var (
	errSpilled = errors.New("a string of the answer is too long, and not a message in base64")
	errTooLong = errors.New("the answer is too long")
)

// uploadError is one of ours, of keeping what came.
type uploadError struct{ err error }

func (e uploadError) Error() string { return e.err.Error() }

// spill reads JSON of a bounded length in which one string may be long: its octets,
// in base64, go to another place while they arrive, and a value that no other
// string has stands for it.
type spill struct {
	r   *bufio.Reader
	max int
	to  *decoder

	out     []byte
	start   int  // where the string began in out; -1 outside of strings
	escaped bool // the octet before was a backslash
	long    bool
	spilled int // strings
}

func newSpill(r io.Reader, to io.Writer, max int) *spill {
	return &spill{r: bufio.NewReaderSize(r, 16<<10), max: max, to: &decoder{w: to}, start: -1}
}

// read returns the JSON.
func (s *spill) read() ([]byte, error) {
	for {
		c, err := s.r.ReadByte()
		if err == io.EOF && s.start < 0 {
			return s.out, nil
		} else if err != nil {
			return nil, noEOF(err)
		}
		switch {
		case s.start < 0:
			if s.out = append(s.out, c); c == '"' {
				s.start = len(s.out)
			}
		case s.long:
			err = s.more(c)
		default:
			err = s.inside(c)
		}
		if err != nil {
			return nil, err
		}
		if len(s.out) > s.max {
			return nil, scanner.Protocol("%s: %v", who, errTooLong)
		}
	}
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// inside takes an octet of a string that is not long yet.
func (s *spill) inside(c byte) error {
	s.out = append(s.out, c)
	switch {
	case s.escaped:
		s.escaped = false
	case c == '\\':
		s.escaped = true
	case c == '"':
		s.start = -1
	}
	if s.start < 0 || s.escaped || len(s.out)-s.start <= spillFrom {
		return nil
	}
	if s.spilled++; s.spilled > 1 {
		return errSpilled
	}
	text := s.out[s.start:]
	s.long = true
	for _, c := range text {
		if err := s.more(c); err != nil {
			return err
		}
	}
	s.out = append(s.out[:s.start], spilledValue...)
	return nil
}

// more takes an octet of a long string. An escape can be that of a slash alone.
func (s *spill) more(c byte) error {
	switch {
	case s.escaped && c != '/':
		return errSpilled
	case c == '\\':
		s.escaped = true
		return nil
	case c == '"' && !s.escaped:
		s.out = append(s.out, c)
		s.start, s.long = -1, false
		return s.to.end()
	}
	s.escaped = false
	return s.to.put(c)
}

// decoder takes base64 octet by octet.
type decoder struct {
	w    io.Writer
	buf  []byte
	over bool // padding came
}

func (d *decoder) put(c byte) error {
	if d.buf = append(d.buf, c); len(d.buf) < quantum {
		return nil
	}
	return d.flush()
}

func (d *decoder) end() error {
	if len(d.buf) == 0 {
		return nil
	}
	return d.flush()
}

func (d *decoder) flush() error {
	if d.over {
		return errSpilled
	}
	d.over = d.buf[len(d.buf)-1] == '='
	n, err := base64.StdEncoding.Decode(d.buf, d.buf)
	if err != nil {
		return fmt.Errorf("%w: %v", errSpilled, err)
	}
	_, err = d.w.Write(d.buf[:n])
	d.buf = d.buf[:0]
	if err != nil && !errors.Is(err, filter.ErrReplacementLarge) {
		return uploadError{err}
	}
	return err
}
