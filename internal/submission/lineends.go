package submission

import (
	"bytes"
	"io"
)

// LineEnds makes Internet text of UNIX text on its way to a writer, however the
// input is split: a bare LF becomes CRLF, CRLF stays, a bare CR becomes a space,
// and a last line without an end gets one. All else stays as it is. Memory is
// bounded.
type LineEnds struct {
	w   io.Writer
	buf []byte
	cr  bool // a CR is held back
	mid bool // the last line has no end yet
	n   int64
}

// NewLineEnds makes a LineEnds that writes to w. Close ends the last line.
func NewLineEnds(w io.Writer) *LineEnds { return &LineEnds{w: w} }

// chunkSize is how many octets are converted at a time: at most twice as many
// come out.
const chunkSize = 32 << 10

// Size is how many octets went in.
func (l *LineEnds) Size() int64 { return l.n }

// Write takes text. Everything but a CR at the end is passed on before it returns.
func (l *LineEnds) Write(p []byte) (n int, err error) {
	for len(p) > n {
		chunk := p[n:min(len(p), n+chunkSize)]
		if err := l.convert(chunk); err != nil {
			return n, err
		}
		n += len(chunk)
		l.n += int64(len(chunk))
	}
	return n, nil
}

// convert passes a chunk on: what is Internet text already as it is, without a
// copy, and the rest converted.
func (l *LineEnds) convert(p []byte) error {
	if !l.cr {
		if n := internetText(p); n > 0 {
			if _, err := l.w.Write(p[:n]); err != nil {
				return err
			}
			l.mid = p[n-1] != '\n'
			p = p[n:]
		}
	}
	if l.buf == nil && len(p) > 1 {
		l.buf = make([]byte, 0, len(p)+len(p)/16+2)
	}
	for len(p) > 0 {
		p = l.step(p)
	}
	return l.flush()
}

// internetText is how many octets at the front of p need no conversion, whatever
// comes behind them.
func internetText(p []byte) int {
	n := 0
	for {
		cr := bytes.IndexByte(p[n:], '\r')
		line := p[n:]
		if cr >= 0 {
			line = line[:cr]
		}
		switch {
		case bytes.IndexByte(line, '\n') >= 0:
			return n
		case cr < 0:
			return len(p)
		case n+cr+1 == len(p):
			return n + cr
		case p[n+cr+1] != '\n':
			return n
		}
		n += cr + 2
	}
}

// step takes octets off the front of p: up to a CR or LF, or a LF after a CR.
func (l *LineEnds) step(p []byte) []byte {
	if l.cr {
		l.cr = false
		if p[0] == '\n' {
			l.end()
			return p[1:]
		}
		l.buf, l.mid = append(l.buf, ' '), true
	}
	line, lf := p, bytes.IndexByte(p, '\n')
	if lf >= 0 {
		line = p[:lf]
	}
	if cr := bytes.IndexByte(line, '\r'); cr >= 0 {
		l.text(line[:cr])
		l.cr = true
		return p[cr+1:]
	}
	l.text(line)
	if lf < 0 {
		return nil
	}
	l.end()
	return p[lf+1:]
}

func (l *LineEnds) text(p []byte) {
	l.buf = append(l.buf, p...)
	l.mid = l.mid || len(p) > 0
}

func (l *LineEnds) end() { l.buf, l.mid = append(l.buf, '\r', '\n'), false }

func (l *LineEnds) flush() error {
	if len(l.buf) == 0 {
		return nil
	}
	_, err := l.w.Write(l.buf)
	l.buf = l.buf[:0]
	return err
}

// Close ends the last line if it has no end. It does not close the writer.
func (l *LineEnds) Close() error {
	if l.cr || l.mid {
		l.cr = false
		l.end()
	}
	return l.flush()
}
