package engine

import (
	"context"
	"errors"
	"fmt"
	"io"

	"mtad/queue"
)

// Open implements queue.Queue.
func (e *Engine) Open(_ context.Context, s queue.OpenSpec) (queue.Content, error) {
	r, err := e.toOpen(&s)
	if err != nil {
		return nil, err
	}
	g := r.Generation()
	if s.Generation != -1 {
		found := false
		for _, x := range r.Generations {
			if x.N == s.Generation {
				g, found = x, true
			}
		}
		if !found {
			return nil, fmt.Errorf("%w: no generation %d", queue.ErrInvalid, s.Generation)
		}
	}
	c := &content{e: e, key: r.key(), segs: g.Segments, left: g.Size, from: e.log}
	if s.Trace {
		c.head = r.Trace
	}
	if err := c.skip(s.Offset); err != nil {
		return nil, err
	}
	if r.Outcome != nil {
		c.gone = queue.ErrNotFound
	}
	return c, c.prepare()
}

// toOpen finds the item whose content is asked for.
func (e *Engine) toOpen(s *queue.OpenSpec) (*rec, error) {
	if (s.Token == "") == (s.ID == "") {
		return nil, fmt.Errorf("%w: open by a token or by an ID", queue.ErrInvalid)
	}
	if s.Token != "" {
		e.mu.Lock()
		defer e.mu.Unlock()
		if err := e.usable(); err != nil {
			return nil, err
		}
		l, err := e.living(s.Token)
		if err != nil {
			return nil, err
		}
		return e.leased(l)
	}
	k, ok := parseKey(s.ID)
	if !ok {
		return nil, queue.ErrNotFound
	}
	r, err := e.committed(k)
	if errors.Is(err, queue.ErrNotFound) {
		return e.readHistory(e.log, k)
	}
	return r, err
}

// content reads a generation, chunk by chunk. Every chunk is checked whole
// before an octet of it is given out.
type content struct {
	e    *Engine
	key  key
	head []byte // trace fields
	segs []queue.Segment
	left int64 // octets of segs still to give
	from Reader
	snap Snapshot // keeps the chunks while more than one is to be read
	gone error    // what a missing chunk means

	buf  []byte // chunk
	blob queue.BlobID
	n    int64
	have bool
	err  error
}

func (c *content) Size() int64 { return int64(len(c.head)) + c.left }

// skip goes forward by n octets.
func (c *content) skip(n int64) error {
	if n < 0 || n > c.Size() {
		return fmt.Errorf("%w: offset %d of %d", queue.ErrInvalid, n, c.Size())
	}
	if h := min(n, int64(len(c.head))); h > 0 {
		c.head = c.head[h:]
		n -= h
	}
	c.left -= n
	for n > 0 {
		s := c.segs[0]
		if n < s.Length {
			s.Offset, s.Length = s.Offset+n, s.Length-n
			c.segs = append([]queue.Segment{s}, c.segs[1:]...)
			return nil
		}
		n -= s.Length
		c.segs = c.segs[1:]
	}
	return nil
}

// prepare reads the first chunk, and when more are to come takes a snapshot, so
// that the content stays readable whatever becomes of the message.
func (c *content) prepare() error {
	if c.left == 0 {
		return nil
	}
	if !c.single() {
		s, err := c.e.log.Snapshot()
		if err != nil {
			return unavailable("open", err)
		}
		c.snap, c.from = s, s
	}
	if err := c.chunk(); err != nil {
		_ = c.Close()
		return err
	}
	return nil
}

// single says whether all that is left lies in one chunk.
func (c *content) single() bool {
	s := c.segs[0]
	return len(c.segs) == 1 && s.Offset/chunkSize == (s.Offset+s.Length-1)/chunkSize
}

// chunk makes buf the chunk that the next octet is in.
func (c *content) chunk() error {
	s := c.segs[0]
	n := s.Offset / chunkSize
	if c.have && c.blob == s.Blob && c.n == n {
		return nil
	}
	b, err := c.from.Chunk(ChunkKey{c.key.msg, uint32(s.Blob), uint32(n)}, c.buf[:0])
	switch {
	case err == nil:
	case errors.Is(err, ErrNoKey) && c.gone != nil:
		return c.gone
	case errors.Is(err, ErrNoKey), errors.Is(err, ErrLogCorrupt):
		c.e.reportCorrupt(c.key)
		return fmt.Errorf("engine: content of %s: %w: %w", c.key.id(), queue.ErrCorrupt, err)
	default:
		return unavailable("read", err)
	}
	c.buf, c.blob, c.n, c.have = b, s.Blob, n, true
	return nil
}

func (c *content) Read(p []byte) (int, error) {
	switch {
	case c.err != nil:
		return 0, c.err
	case len(p) == 0:
		return 0, nil
	case len(c.head) > 0:
		n := copy(p, c.head)
		c.head = c.head[n:]
		return n, nil
	case c.left == 0:
		return 0, io.EOF
	}
	if c.err = c.chunk(); c.err != nil {
		return 0, c.err
	}
	s := &c.segs[0]
	at := s.Offset % chunkSize
	if at >= int64(len(c.buf)) {
		c.e.reportCorrupt(c.key)
		c.err = fmt.Errorf("engine: content of %s is short: %w", c.key.id(), queue.ErrCorrupt)
		return 0, c.err
	}
	n := copy(p[:min(int64(len(p)), s.Length)], c.buf[at:])
	c.left -= int64(n)
	rest := *s
	rest.Offset, rest.Length = s.Offset+int64(n), s.Length-int64(n)
	if rest.Length == 0 {
		c.segs = c.segs[1:]
	} else {
		c.segs = append([]queue.Segment{rest}, c.segs[1:]...)
	}
	return n, nil
}

func (c *content) Close() error {
	c.err = fmt.Errorf("%w: read after close", queue.ErrInvalid)
	c.buf, c.have = nil, false
	if c.snap != nil {
		err := c.snap.Close()
		c.snap = nil
		return unavailable("close", err)
	}
	return nil
}
