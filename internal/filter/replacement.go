package filter

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"

	"mtad/filterproto"
	"mtad/queue"
)

// Errors of a Replacement: the scanner's fault.
var (
	ErrReplacementEmpty = errors.New("filter: the message given back is empty")
	ErrReplacementLarge = errors.New("filter: the message given back is too large")
)

// maxHead bounds how much of a message given back is searched for our own trace.
const maxHead = 256 << 10

// Replacement takes a whole message that a scanner gives back, and makes the edit
// of it. Octets are kept as they are, except that our own trace field is taken out
// again (it is kept apart, and put in front of whatever the content is), and that
// with FixLineEnds a bare LF becomes CRLF. It is for one goroutine at a time, and
// ends with Edits or Abort. Memory is bounded; the octets go into an upload under
// the message's lease.
type Replacement struct {
	ctx   context.Context // of the upload
	m     Message
	limit int64
	// FixLineEnds is for programs that write text in the manner of their system.
	FixLineEnds bool

	head  []byte // until the trace was looked for
	begun bool
	cr    bool // the last octet was CR
	size  int64
	sum   hash.Hash
	w     queue.BlobWriter
	err   error
}

// Replacement begins one of at most limit octets; ctx bounds the upload.
func (m Message) Replacement(ctx context.Context, limit int64) *Replacement {
	return &Replacement{ctx: ctx, m: m, limit: limit, sum: sha256.New()}
}

// Write takes octets. An error is final.
func (r *Replacement) Write(p []byte) (int, error) {
	if r.err == nil {
		r.err = r.take(p)
	}
	if r.err != nil {
		return 0, r.err
	}
	return len(p), nil
}

func (r *Replacement) take(p []byte) error {
	if r.FixLineEnds {
		p = r.fix(p)
	}
	if r.begun {
		return r.put(p)
	}
	r.head = append(r.head, p...)
	if len(r.head) < maxHead && !bytes.Contains(r.head, []byte("\r\n\r\n")) && !bytes.Contains(r.head, []byte("\n\n")) {
		return nil
	}
	return r.begin()
}

// begin looks for our trace in what came so far.
func (r *Replacement) begin() error {
	r.begun = true
	head := r.head
	r.head = nil
	if t := r.m.Item.Trace; len(t) > 0 {
		end, _ := headerEnd(head, true)
		if i := bytes.Index(head[:end], t); i == 0 || i > 0 && head[i-1] == '\n' {
			head = append(head[:i:i], head[i+len(t):]...)
		}
	}
	return r.put(head)
}

// fix writes CRLF for a bare LF.
func (r *Replacement) fix(p []byte) []byte {
	out := make([]byte, 0, len(p)+len(p)/32+2)
	for _, c := range p {
		if c == '\n' && !r.cr {
			out = append(out, '\r')
		}
		r.cr = c == '\r'
		out = append(out, c)
	}
	return out
}

func (r *Replacement) put(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if r.size += int64(len(p)); r.size > r.limit {
		return ErrReplacementLarge
	}
	if r.w == nil {
		var err error
		if r.w, err = r.m.Upload(r.ctx); err != nil {
			return fmt.Errorf("filter: upload: %w", err)
		}
	}
	r.sum.Write(p)
	if _, err := r.w.Write(p); err != nil {
		return fmt.Errorf("filter: upload: %w", err)
	}
	return nil
}

// Edits ends the message and returns the edit that puts it in place of the
// current one; none when it is, octet by octet, what src was read to be.
func (r *Replacement) Edits(ctx context.Context, src *Source) ([]filterproto.Edit, error) {
	if r.err == nil && !r.begun {
		r.err = r.begin()
	}
	if r.err == nil && r.size == 0 {
		r.err = ErrReplacementEmpty
	}
	if r.err != nil {
		return nil, errors.Join(r.err, r.Abort())
	}
	if d, ok := src.Digest(); ok && d.Size == r.size && bytes.Equal(r.sum.Sum(nil), d.Sum[:]) {
		return nil, r.Abort()
	}
	blob, _, err := r.w.Seal(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("filter: upload: %w", err), r.Abort())
	}
	r.w = nil
	return []filterproto.Edit{{Op: filterproto.MessageReplace, Upload: UploadName(blob)}}, nil
}

// Abort drops it.
func (r *Replacement) Abort() error {
	if r.w == nil {
		return nil
	}
	w := r.w
	r.w = nil
	return w.Abort()
}
