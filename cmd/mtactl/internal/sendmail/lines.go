package sendmail

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// text is standard input up to its end: that of the stream, or a line of a single
// dot where those count. It is read by lines for the header section, and as an
// io.Reader from then on.
type text struct {
	r    *bufio.Reader
	dots bool // a line of a single dot ends it
	smtp bool // nothing else does, and other lines with a dot in front have one too many (RFC 5321 §4.5.2)
	mid  bool // amid a line
	end  bool
	left []byte // of a line that is being read
}

func newText(r io.Reader, dots bool) *text {
	return &text{r: bufio.NewReaderSize(r, 64<<10), dots: dots}
}

// part returns the next line with its end, or as much of a longer one as fits into
// the buffer. It is good until the next call. The end is io.EOF.
func (t *text) part() ([]byte, error) {
	if t.end {
		return nil, io.EOF
	}
	line, err := t.r.ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) && (len(line) == 0 || !errors.Is(err, io.EOF) || t.smtp) {
		if t.smtp && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	begin := !t.mid
	t.mid = !bytes.HasSuffix(line, []byte{'\n'})
	if t.dots && begin && isDot(line) {
		t.end = true
		return nil, io.EOF
	}
	if t.smtp && begin && line[0] == '.' {
		line = line[1:]
	}
	return line, nil
}

func isDot(line []byte) bool {
	return line[0] == '.' && len(bytes.TrimRight(line[1:], "\r\n")) == 0 && len(line) <= 3
}

// Read reads text; the dot that ends it is not given.
func (t *text) Read(p []byte) (int, error) {
	for len(t.left) == 0 {
		line, err := t.part()
		if err != nil {
			return 0, err
		}
		t.left = line
	}
	n := copy(p, t.left)
	t.left = t.left[n:]
	return n, nil
}
