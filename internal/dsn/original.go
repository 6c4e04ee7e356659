package dsn

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"mime/quotedprintable"

	"mtad/queue"
)

// taking says how much of the original a report may return.
type taking uint8

const (
	wholeOriginal taking = iota // whole, when RET and size allow it
	noOriginal
)

// original is the last part of a report.
type original struct {
	mediaType string // "" when nothing of the original is there
	charset   string
	encoding  string
	data      []byte // encoded
	messageID string // of the original, "" unless well-formed
	note      string // why it is not whole, for people
}

// readOriginal reads a bounded copy. RET applies to failures; a report without
// one returns the header section (RFC 3461 §4.3).
func (r *Reporter) readOriginal(ctx context.Context, it *queue.Item, k Kind, take taking) (original, error) {
	if take == noOriginal {
		return original{note: "The message itself is too large to be returned."}, nil
	}
	full := k == Failed && it.Envelope.Return != "HDRS"
	limit := int64(r.o.MaxHeaders)
	if full {
		limit = max(limit, r.o.MaxFull)
	}
	raw, err := r.read(ctx, it, limit+1)
	if errors.Is(err, queue.ErrCorrupt) || errors.Is(err, queue.ErrNotFound) {
		return original{note: "The message itself could not be read any more."}, nil
	}
	if err != nil {
		return original{}, err
	}
	o := original{messageID: messageID(headerSection(raw))}
	switch {
	case full && int64(len(raw)) > r.o.MaxFull:
		o.note = "The message is too large to be returned; its header section is below."
	case full && o.whole(raw, it.Envelope.SMTPUTF8):
		return o, nil
	case full:
		o.note = "The message cannot be returned as it is; its header section is below."
	}
	o.headers(headerSection(raw), r.o.MaxHeaders, it.Envelope.SMTPUTF8)
	return o, nil
}

func (r *Reporter) read(ctx context.Context, it *queue.Item, limit int64) (raw []byte, err error) {
	c, err := r.o.Open(ctx, queue.OpenSpec{ID: it.ID, Generation: -1, Trace: true})
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	return io.ReadAll(io.LimitReader(c, limit))
}

// whole takes raw as message/rfc822, for which MIME allows no encoding but 7bit,
// 8bit and binary (RFC 2046 §5.2.1), so that what has bare CR or LF, NUL or long
// lines cannot be taken; or, of SMTPUTF8 mail, as message/global, which may be
// encoded (RFC 6532 §3.7).
func (o *original) whole(raw []byte, smtputf8 bool) bool {
	f := formOf(raw)
	switch {
	case smtputf8 && (f.eightBit || f.unclean):
		o.mediaType, o.encoding, o.data = "message/global", "base64", base64Lines(raw)
	case f.unclean:
		return false
	case f.eightBit:
		o.mediaType, o.encoding, o.data = "message/rfc822", "8bit", raw
	default:
		o.mediaType, o.encoding, o.data = "message/rfc822", "7bit", raw
	}
	return true
}

// headers takes at most limit octets of a header section, in whole lines.
func (o *original) headers(section []byte, limit int, smtputf8 bool) {
	section = crlfLines(section)
	if len(section) > limit {
		section = section[:bytes.LastIndexByte(section[:limit], '\n')+1]
	}
	o.mediaType, o.encoding, o.data = "text/rfc822-headers", "7bit", section
	f := formOf(section)
	if !f.eightBit && !f.unclean {
		return
	}
	o.encoding, o.data = "quoted-printable", quoted(section)
	if smtputf8 {
		o.mediaType = "message/global-headers"
	} else if f.eightBit {
		o.charset = "utf-8"
	}
}

// form is what decides how octets may stand in a MIME body.
type form struct {
	eightBit bool
	unclean  bool // bare CR or LF, NUL, a line over 998 octets
}

func formOf(b []byte) (f form) {
	line := 0
	for i, c := range b {
		line++
		switch {
		case c == '\n':
			f.unclean = f.unclean || i == 0 || b[i-1] != '\r' || line > 1000
			line = 0
		case c == '\r':
			f.unclean = f.unclean || i+1 == len(b) || b[i+1] != '\n'
		case c == 0:
			f.unclean = true
		case c >= 0x80:
			f.eightBit = true
		}
	}
	f.unclean = f.unclean || line > 998
	return f
}

// headerSection is what stands before the first empty line.
func headerSection(b []byte) []byte {
	for at := 0; at < len(b); {
		if b[at] == '\n' || bytes.HasPrefix(b[at:], []byte("\r\n")) {
			return b[:at]
		}
		n := bytes.IndexByte(b[at:], '\n')
		if n < 0 {
			break
		}
		at += n + 1
	}
	return b
}

// crlfLines returns b with every line ended by CRLF.
func crlfLines(b []byte) []byte {
	out := make([]byte, 0, len(b)+2)
	for i, c := range b {
		switch {
		case c == '\n' && (i == 0 || b[i-1] != '\r'):
			out = append(out, '\r', '\n')
		case c == '\r' && (i+1 == len(b) || b[i+1] != '\n'):
			out = append(out, '\r', '\n')
		default:
			out = append(out, c)
		}
	}
	if len(out) > 0 && out[len(out)-1] != '\n' {
		out = append(out, '\r', '\n')
	}
	return out
}

func base64Lines(b []byte) []byte {
	const per = 57 // octets in, 76 out
	out := make([]byte, 0, base64.StdEncoding.EncodedLen(len(b))+len(b)/per*2+4)
	for len(b) > 0 {
		n := min(per, len(b))
		out = base64.StdEncoding.AppendEncode(out, b[:n])
		out = append(out, '\r', '\n')
		b = b[n:]
	}
	return out
}

func quoted(b []byte) []byte {
	var buf bytes.Buffer
	w := quotedprintable.NewWriter(&buf)
	_, _ = w.Write(b) // to memory: no error is possible
	_ = w.Close()
	return buf.Bytes()
}

// messageID finds a Message-ID that may be quoted in References, else "".
func messageID(section []byte) string {
	const name = "message-id:"
	for line := range bytes.Lines(section) {
		if len(line) < len(name) || !bytes.EqualFold(line[:len(name)], []byte(name)) {
			continue
		}
		id := string(bytes.TrimSpace(line[len(name):]))
		if len(id) < 3 || len(id) > 250 || id[0] != '<' || id[len(id)-1] != '>' {
			return ""
		}
		for _, c := range []byte(id[1 : len(id)-1]) {
			if c <= ' ' || c >= 0x7f || c == '<' || c == '>' || c == '(' || c == ')' {
				return ""
			}
		}
		return id
	}
	return ""
}
