package filter

import (
	"context"
	"errors"
	"io"

	"mtad/filterproto"
	"mtad/queue"
)

// builder makes the pieces of new generations for one transaction. What it may
// put inline is bounded; beyond that it uploads under the lease.
type builder struct {
	q         queue.Queue
	token     queue.Token // "" reads by id and cannot upload
	id        queue.ID
	size      int64 // of the current generation
	maxHeader int

	inline int      // octets put inline so far
	head   *current // read once
}

// current is the start of the current generation: the header section and at
// least the separator after it.
type current struct {
	header, after []byte
}

// recipe is what a list of edits comes to.
type recipe struct {
	message *filterproto.Edit // last message_replace
	header  []filterproto.Edit
	body    *filterproto.Edit // last body_replace
}

func recipeOf(edits []filterproto.Edit) recipe {
	var r recipe
	for i := range edits {
		switch e := &edits[i]; {
		case e.Op == filterproto.MessageReplace:
			r = recipe{message: e}
		case e.Op == filterproto.BodyReplace:
			r.body = e
		case headerEdit(e.Op):
			r.header = append(r.header, *e)
		}
	}
	return r
}

// content returns the SetContent that edits ask for; ok is false when they leave
// every octet as it is.
func (b *builder) content(ctx context.Context, by string, edits []filterproto.Edit) (op queue.SetContent, ok bool, err error) {
	pieces, err := b.pieces(ctx, recipeOf(edits))
	if err != nil || pieces == nil {
		return op, false, err
	}
	return queue.SetContent{By: by, Pieces: pieces}, true, nil
}

func (b *builder) pieces(ctx context.Context, r recipe) ([]queue.Piece, error) {
	if r.message == nil && r.header == nil && r.body == nil {
		return nil, nil
	}
	if r.message != nil && r.message.Upload != "" {
		return b.upload(r.message.Upload)
	}
	var cur *current
	rest := queue.Piece{FromCurrent: true, Length: -1}
	if r.message != nil {
		n, _ := headerEnd(r.message.Body, true)
		cur = &current{header: r.message.Body[:n], after: r.message.Body[n:]}
		rest = queue.Piece{Inline: cur.after}
	} else {
		var err error
		if cur, err = b.current(ctx); err != nil {
			return nil, err
		}
		rest.Offset = int64(len(cur.header))
		if rest.Offset == b.size {
			rest = queue.Piece{Inline: []byte{}}
		}
	}
	s := parseSection(cur.header, cur.after)
	for _, e := range r.header {
		s.apply(e)
	}
	header := s.bytes()
	if r.message == nil && r.body == nil && string(header) == string(cur.header) {
		return nil, nil
	}
	if r.body != nil {
		return b.withBody(ctx, header, cur, s.eol, r.body)
	}
	return b.join(ctx, header, rest)
}

// withBody puts a new body behind header and separator. A message without a
// separator gets one.
func (b *builder) withBody(ctx context.Context, header []byte, cur *current, eol string, e *filterproto.Edit) ([]queue.Piece, error) {
	sep := separator(cur.after)
	if len(sep) == 0 {
		if n := len(header); n > 0 && header[n-1] != '\n' {
			sep = append(sep, eol...)
		}
		sep = append(sep, eol...)
	}
	header = append(header, sep...)
	if e.Upload == "" {
		return b.join(ctx, header, queue.Piece{Inline: e.Body})
	}
	body, err := b.upload(e.Upload)
	if err != nil {
		return nil, err
	}
	return b.join(ctx, header, body[0])
}

// separator returns a copy of the empty line at the start of after, or nothing.
func separator(after []byte) []byte {
	if len(after) > 0 && after[0] == '\n' {
		return []byte{'\n'}
	}
	if len(after) > 1 && after[0] == '\r' && after[1] == '\n' {
		return []byte("\r\n")
	}
	return nil
}

func (b *builder) upload(name string) ([]queue.Piece, error) {
	blob, err := parseUpload(name)
	if err != nil {
		return nil, err
	}
	return []queue.Piece{{Blob: blob, Length: -1}}, nil
}

// join makes pieces of new octets and rest.
func (b *builder) join(ctx context.Context, octets []byte, rest queue.Piece) ([]queue.Piece, error) {
	if inline := !rest.FromCurrent && rest.Blob == 0; inline {
		octets, rest = append(octets, rest.Inline...), queue.Piece{}
	}
	var pieces []queue.Piece
	if len(octets) > 0 || rest.Length == 0 {
		p, err := b.store(ctx, octets)
		if err != nil {
			return nil, err
		}
		pieces = append(pieces, p)
	}
	if rest.Length != 0 {
		pieces = append(pieces, rest)
	}
	return pieces, nil
}

// store keeps octets inline while there is room, otherwise uploads them.
func (b *builder) store(ctx context.Context, octets []byte) (queue.Piece, error) {
	if octets == nil {
		octets = []byte{}
	}
	if b.inline+len(octets) <= queue.MaxInline/2 || b.token == "" {
		b.inline += len(octets)
		return queue.Piece{Inline: octets}, nil
	}
	w, err := b.q.Upload(ctx, b.token)
	if err != nil {
		return queue.Piece{}, err
	}
	if _, err := w.Write(octets); err != nil {
		return queue.Piece{}, errors.Join(err, w.Abort())
	}
	blob, _, err := w.Seal(ctx)
	if err != nil {
		return queue.Piece{}, errors.Join(err, w.Abort())
	}
	return queue.Piece{Blob: blob, Length: -1}, nil
}

// current reads the header section of the current generation, no more of it than
// maxHeader.
func (b *builder) current(ctx context.Context) (*current, error) {
	if b.head != nil {
		return b.head, nil
	}
	spec := queue.OpenSpec{Token: b.token, Generation: -1}
	if b.token == "" {
		spec.ID = b.id
	}
	c, err := b.q.Open(ctx, spec)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	b.head, err = readHeader(c, b.maxHeader)
	return b.head, err
}

// readHeader reads up to the end of the header section and the separator.
func readHeader(r io.Reader, maxHeader int) (*current, error) {
	buf := make([]byte, 0, min(4<<10, maxHeader+4))
	for {
		n, err := io.ReadFull(r, buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		atEOF := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !atEOF {
			return nil, err
		}
		end, complete := headerEnd(buf, atEOF)
		// The separator's two octets have to be in sight too.
		if end <= maxHeader && complete && (atEOF || end+2 <= len(buf)) {
			return &current{header: buf[:end:end], after: buf[end:]}, nil
		}
		if atEOF || len(buf) >= maxHeader+4 {
			return nil, &VerdictError{Code: CodeHeaderLarge, Field: "edits", Detail: "the message's header section is too large to be edited"}
		}
		buf = append(make([]byte, 0, min(4*cap(buf), maxHeader+4)), buf...)
	}
}
