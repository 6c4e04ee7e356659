package filterproto

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// MediaFrames is the media type of a stream of frames (spec/filter.md §5).
const MediaFrames = "application/vnd.mtad.frames"

// The kinds of frames. A reader skips those it does not know.
const (
	FrameClaim = "claim" // a Claim as JSON, without content
	FrameData  = "data"  // octets of the content of the claim before it
	FrameDone  = "done"  // that content is complete
	FrameFail  = "fail"  // that content cannot be read: an Error as JSON
	FrameEnd   = "end"   // the stream is complete
)

// Bounds of frames.
const (
	MaxFrameData  = 1 << 20  // octets of a data frame
	MaxFrameJSON  = 64 << 20 // octets of a claim or fail frame
	maxFrameSkip  = 1 << 30  // octets of a frame of unknown kind
	maxFrameKind  = 16
	maxFrameStart = maxFrameKind + 1 + 10 + 1 // kind SP length LF
)

// ErrFrame is matched by the errors of malformed frames.
var ErrFrame = errors.New("filterproto: malformed frame")

// AppendFrame appends the first line of a frame: kind, a space, the payload's
// length, LF. The payload follows.
func AppendFrame(b []byte, kind string, length int) []byte {
	b = append(b, kind...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(length), 10)
	return append(b, '\n')
}

// FrameReader reads frames. Memory grows with what has arrived, never with what a
// length announces.
type FrameReader struct {
	r   *bufio.Reader
	buf []byte
}

// NewFrameReader reads from r.
func NewFrameReader(r io.Reader) *FrameReader {
	return &FrameReader{r: bufio.NewReaderSize(r, 32<<10)}
}

// Next returns the next frame of a known kind. The payload is good until the next
// call. A stream that ends anywhere gives io.ErrUnexpectedEOF: FrameEnd comes
// before its proper end.
func (f *FrameReader) Next() (kind string, payload []byte, err error) {
	for {
		kind, n, err := f.start()
		if err != nil {
			return "", nil, err
		}
		bound, known := frameBound(kind)
		if n > bound {
			return "", nil, fmt.Errorf("%w: %s of %d octets", ErrFrame, kind, n)
		}
		if !known {
			if err := f.skip(n); err != nil {
				return "", nil, err
			}
			continue
		}
		payload, err := f.payload(n)
		return kind, payload, err
	}
}

func frameBound(kind string) (bound int, known bool) {
	switch kind {
	case FrameData:
		return MaxFrameData, true
	case FrameClaim, FrameFail:
		return MaxFrameJSON, true
	case FrameDone, FrameEnd:
		return 0, true
	}
	return maxFrameSkip, false
}

// start reads "kind length\n".
func (f *FrameReader) start() (kind string, n int, err error) {
	var line [maxFrameStart]byte
	i := 0
	for ; ; i++ {
		c, err := f.r.ReadByte()
		if err != nil {
			return "", 0, cutShort(err)
		}
		if c == '\n' {
			break
		}
		if i == len(line)-1 {
			return "", 0, fmt.Errorf("%w: first line too long", ErrFrame)
		}
		line[i] = c
	}
	return parseStart(line[:i])
}

func parseStart(line []byte) (kind string, n int, err error) {
	i := 0
	for i < len(line) && (line[i] >= 'a' && line[i] <= 'z' || line[i] == '_') {
		i++
	}
	digits := len(line) - i - 1
	if i == 0 || i > maxFrameKind || digits < 1 || digits > 10 || line[i] != ' ' {
		return "", 0, fmt.Errorf("%w: first line", ErrFrame)
	}
	for _, c := range line[i+1:] {
		if c < '0' || c > '9' {
			return "", 0, fmt.Errorf("%w: length", ErrFrame)
		}
		n = n*10 + int(c-'0')
	}
	if digits > 1 && line[i+1] == '0' {
		return "", 0, fmt.Errorf("%w: length", ErrFrame)
	}
	return string(line[:i]), n, nil
}

const frameStep = 64 << 10

func (f *FrameReader) payload(n int) ([]byte, error) {
	f.buf = f.buf[:0]
	for len(f.buf) < n {
		step := min(n-len(f.buf), frameStep)
		at := len(f.buf)
		for cap(f.buf) < at+step {
			f.buf = append(f.buf[:cap(f.buf)], 0)
		}
		f.buf = f.buf[:at+step]
		if _, err := io.ReadFull(f.r, f.buf[at:]); err != nil {
			return nil, cutShort(err)
		}
	}
	return f.buf, nil
}

func (f *FrameReader) skip(n int) error {
	_, err := f.r.Discard(n)
	return cutShort(err)
}

func cutShort(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
