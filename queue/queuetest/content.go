package queuetest

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"mtad/queue"
)

// setContent makes the next generation.
func (c *change) setContent(it *item, op queue.SetContent) error {
	current := it.Generation()
	next := queue.Generation{N: current.N + 1, By: op.By}
	var inline int
	for i, p := range op.Pieces {
		if p.Inline != nil {
			inline += len(p.Inline)
			next.Segments = append(next.Segments, c.newBlob(p.Inline)...)
			continue
		}
		segments, err := c.source(it, p)
		if err == nil {
			segments, err = cut(segments, p.Offset, p.Length)
		}
		if err != nil {
			return fmt.Errorf("piece %d: %w", i, err)
		}
		next.Segments = append(next.Segments, segments...)
	}
	for _, s := range next.Segments {
		next.Size += s.Length
	}
	switch {
	case inline > queue.MaxInline:
		return fmt.Errorf("%w: %d octets inline", queue.ErrTooLarge, inline)
	case len(next.Segments) > queue.MaxSegments:
		return fmt.Errorf("%w: %d segments", queue.ErrTooLarge, len(next.Segments))
	case len(it.Generations) == queue.MaxGenerations:
		return fmt.Errorf("%w: generations", queue.ErrTooLarge)
	}
	it.Generations = append(it.Generations, next)
	c.event(it, queue.EventChanged, fmt.Sprintf("generation %d", next.N))
	return nil
}

func (c *change) newBlob(octets []byte) []queue.Segment {
	if len(octets) == 0 {
		return nil
	}
	id := c.msg.nextBlob
	c.msg.nextBlob++
	c.msg.blobs[id] = slices.Clone(octets)
	return []queue.Segment{{Blob: id, Length: int64(len(octets))}}
}

// source is what a piece takes its range from.
func (c *change) source(it *item, p queue.Piece) ([]queue.Segment, error) {
	if p.FromCurrent {
		return it.Generation().Segments, nil
	}
	_, uploaded := c.lease.uploads[p.Blob]
	octets, ok := c.msg.blobs[p.Blob]
	if !ok || p.Blob != 0 && !uploaded {
		return nil, fmt.Errorf("%w: no blob %d", queue.ErrInvalid, p.Blob)
	}
	if uploaded {
		c.used[p.Blob] = true
	}
	return []queue.Segment{{Blob: p.Blob, Length: int64(len(octets))}}, nil
}

// cut takes length octets (-1: all) from offset out of the segments.
func cut(segments []queue.Segment, offset, length int64) ([]queue.Segment, error) {
	var size int64
	for _, s := range segments {
		size += s.Length
	}
	if length == -1 {
		length = size - offset
	}
	if offset < 0 || length < 0 || offset > size || length > size-offset {
		return nil, fmt.Errorf("%w: octets %d+%d of %d", queue.ErrInvalid, offset, length, size)
	}
	var out []queue.Segment
	for _, s := range segments {
		skip := min(offset, s.Length)
		take := min(length, s.Length-skip)
		offset, length = offset-skip, length-take
		if take > 0 {
			out = append(out, queue.Segment{Blob: s.Blob, Offset: s.Offset + skip, Length: take})
		}
	}
	return out, nil
}

// octets puts a generation together.
func (m *message) octets(g queue.Generation) []byte {
	var out []byte
	for _, s := range g.Segments {
		out = append(out, m.blobs[s.Blob][s.Offset:s.Offset+s.Length]...)
	}
	return out
}

// Open reads content.
func (m *Model) Open(ctx context.Context, s queue.OpenSpec) (queue.Content, error) {
	_, err := m.enter()
	defer m.leave()
	if err != nil {
		return nil, err
	}
	it, err := m.readable(s)
	if err != nil {
		return nil, err
	}
	n := s.Generation
	if n == -1 {
		n = it.Generation().N
	}
	if n < 0 || n >= len(it.Generations) {
		return nil, fmt.Errorf("%w: no generation %d", queue.ErrInvalid, s.Generation)
	}
	octets := it.msg.octets(it.Generations[n])
	if s.Trace {
		octets = append(slices.Clone(it.Trace), octets...)
	}
	if s.Offset < 0 || s.Offset > int64(len(octets)) {
		return nil, fmt.Errorf("%w: offset %d of %d", queue.ErrInvalid, s.Offset, len(octets))
	}
	return &content{bytes.NewReader(octets[s.Offset:])}, nil
}

// readable finds the item to read. A finished one keeps its content as long as
// its record.
func (m *Model) readable(s queue.OpenSpec) (*item, error) {
	if (s.Token == "") == (s.ID == "") {
		return nil, fmt.Errorf("%w: open by a token or an ID", queue.ErrInvalid)
	}
	if s.Token != "" {
		l, err := m.held(s.Token)
		if err != nil {
			return nil, err
		}
		return l.item, nil
	}
	it := m.state.items[s.ID]
	if it == nil {
		it = m.state.finished[s.ID]
	}
	if it == nil || it.msg.staged {
		return nil, queue.ErrNotFound
	}
	return it, nil
}

type content struct{ *bytes.Reader }

func (c *content) Size() int64  { return int64(c.Len()) }
func (c *content) Close() error { return nil }

// Upload opens a new blob under a lease.
func (m *Model) Upload(ctx context.Context, t queue.Token) (queue.BlobWriter, error) {
	_, err := m.enter()
	defer m.leave()
	if err != nil {
		return nil, err
	}
	if _, err := m.held(t); err != nil {
		return nil, err
	}
	return &blobWriter{m: m, token: t}, nil
}

type blobWriter struct {
	m      *Model
	token  queue.Token
	octets []byte
	ended  bool
}

func (w *blobWriter) Write(p []byte) (int, error) {
	if _, err := w.lease(); err != nil {
		return 0, err
	}
	w.octets = append(w.octets, p...)
	return len(p), nil
}

// lease is that of the upload, while it lives.
func (w *blobWriter) lease() (*lease, error) {
	_, err := w.m.enter()
	defer w.m.leave()
	if err != nil {
		return nil, err
	}
	if w.ended {
		return nil, fmt.Errorf("%w: blob has ended", queue.ErrInvalid)
	}
	return w.m.held(w.token)
}

func (w *blobWriter) Seal(context.Context) (queue.BlobID, int64, error) {
	_, err := w.m.enter()
	defer w.m.leave()
	if err != nil {
		return 0, 0, err
	}
	if w.ended {
		return 0, 0, fmt.Errorf("%w: blob has ended", queue.ErrInvalid)
	}
	l, err := w.m.held(w.token)
	if err != nil {
		return 0, 0, err
	}
	w.ended = true
	msg := l.item.msg
	id := msg.nextBlob
	msg.nextBlob++
	msg.blobs[id] = w.octets
	l.uploads[id] = false
	return id, int64(len(w.octets)), nil
}

func (w *blobWriter) Abort() error {
	w.ended = true
	return nil
}
