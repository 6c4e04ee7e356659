package compose

import (
	"encoding/base64"
	"io"
	"mime/quotedprintable"
)

// encoder is a content transfer encoding (RFC 2045 §6) on its way to w.
func encoder(encoding string, w io.Writer) io.WriteCloser {
	switch encoding {
	case "base64":
		lines := &wrapper{w: w}
		return &wrapped{base64.NewEncoder(base64.StdEncoding, lines), lines}
	case "quoted-printable":
		return quotedprintable.NewWriter(w)
	}
	return asIs{w}
}

type asIs struct{ io.Writer }

func (asIs) Close() error { return nil }

// wrapped ends the last line after the last group.
type wrapped struct {
	io.WriteCloser
	lines *wrapper
}

func (e *wrapped) Close() error {
	if err := e.WriteCloser.Close(); err != nil {
		return err
	}
	return e.lines.end()
}

// wrapper breaks lines of softLine octets. It writes in pieces of a few lines.
type wrapper struct {
	w    io.Writer
	line int
	buf  []byte
}

func (l *wrapper) Write(p []byte) (int, error) {
	l.buf = l.buf[:0]
	n := len(p)
	for len(p) > 0 {
		k := min(len(p), softLine-l.line)
		l.buf = append(l.buf, p[:k]...)
		p = p[k:]
		if l.line += k; l.line == softLine {
			l.buf, l.line = append(l.buf, '\r', '\n'), 0
		}
	}
	if _, err := l.w.Write(l.buf); err != nil {
		return 0, err
	}
	return n, nil
}

func (l *wrapper) end() error {
	if l.line == 0 {
		return nil
	}
	l.line = 0
	_, err := io.WriteString(l.w, "\r\n")
	return err
}
