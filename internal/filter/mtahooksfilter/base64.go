package mtahooksfilter

import (
	"encoding/base64"
	"errors"
	"io"
)

// chunk is how many octets are encoded at a time: no remainder but at the end.
const chunk = 3 << 13

// encodedLen is the length of n octets in base64.
func encodedLen(n int64) int64 { return (n + 2) / 3 * 4 }

// encoder reads what is read from r in base64.
type encoder struct {
	r    io.Reader
	in   []byte
	out  []byte // encoded, not taken yet
	room []byte
	err  error
}

func newEncoder(r io.Reader) *encoder {
	return &encoder{r: r, in: make([]byte, chunk), room: make([]byte, base64.StdEncoding.EncodedLen(chunk))}
}

// Read implements io.Reader.
func (e *encoder) Read(p []byte) (int, error) {
	for len(e.out) == 0 {
		if e.err != nil {
			return 0, e.err
		}
		n, err := io.ReadFull(e.r, e.in)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = io.EOF
		}
		e.err = err
		e.out = e.room[:base64.StdEncoding.EncodedLen(n)]
		base64.StdEncoding.Encode(e.out, e.in[:n])
	}
	n := copy(p, e.out)
	e.out = e.out[n:]
	return n, nil
}
