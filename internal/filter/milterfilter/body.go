package milterfilter

import (
	"bytes"
	"context"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/queue"
)

// inlineBody is how much of a new body is kept in memory, in octets.
const inlineBody = 256 << 10

// newBody takes the pieces of a new body and makes their line ends CRLF.
type newBody struct {
	begun bool
	limit int64 // octets
	size  int64
	last  byte // of the piece before
	buf   []byte
	blob  queue.BlobWriter
}

func (b *newBody) write(ctx context.Context, m filter.Message, p []byte) error {
	b.begun = true
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			b.buf = append(b.buf, p...)
			b.last, p = p[len(p)-1], nil
			break
		}
		b.buf = append(b.buf, p[:i]...)
		if before := b.before(p[:i]); before != '\r' {
			b.buf = append(b.buf, '\r')
		}
		b.buf = append(b.buf, '\n')
		b.last, p = '\n', p[i+1:]
	}
	if b.size+int64(len(b.buf)) > b.limit {
		return protocol("new body without end")
	}
	if len(b.buf) <= inlineBody {
		return nil
	}
	return b.spill(ctx, m)
}

// before is the octet in front of a line end.
func (b *newBody) before(line []byte) byte {
	if len(line) > 0 {
		return line[len(line)-1]
	}
	return b.last
}

func (b *newBody) spill(ctx context.Context, m filter.Message) (err error) {
	if b.blob == nil {
		if b.blob, err = m.Upload(ctx); err != nil {
			return err
		}
	}
	b.size += int64(len(b.buf))
	_, err = b.blob.Write(b.buf)
	b.buf = b.buf[:0]
	return err
}

// edit is the replacement; ok is false when there is none.
func (b *newBody) edit(ctx context.Context) (e filterproto.Edit, ok bool, err error) {
	e.Op = filterproto.BodyReplace
	if b.blob == nil {
		e.Body = b.buf
		return e, b.begun, nil
	}
	if len(b.buf) > 0 {
		if _, err := b.blob.Write(b.buf); err != nil {
			return e, false, err
		}
	}
	id, _, err := b.blob.Seal(ctx)
	if err != nil {
		return e, false, err
	}
	b.blob = nil
	e.Upload = filter.UploadName(id)
	return e, true, nil
}

func (b *newBody) abandon() {
	if b.blob != nil {
		_ = b.blob.Abort()
	}
	*b = newBody{}
}
