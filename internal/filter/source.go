package filter

import (
	"bytes"
	"context"
	"crypto/sha256"
	"hash"
	"io"
	"sync/atomic"

	"mtad/queue"
)

// Source reads the current generation of a message for a scanner. Read is for
// one goroutine; Digest is safe from any.
type Source struct {
	content queue.Content
	front   []byte // our own trace, not read yet
	octets  int64  // of the content
	size    int64
	sum     hash.Hash
	digest  atomic.Pointer[Digest]
	err     error
}

// Digest names the octets of a message, our own trace not among them.
type Digest struct {
	Size int64
	Sum  [sha256.Size]byte
}

// Source opens the current generation, with our own trace field in front or
// without. The caller closes it.
func (m Message) Source(ctx context.Context, trace bool) (*Source, error) {
	c, err := m.Open(ctx, false)
	if err != nil {
		return nil, err
	}
	s := &Source{content: c, octets: c.Size(), size: c.Size(), sum: sha256.New()}
	if trace {
		s.front = bytes.Clone(m.Item.Trace)
		s.size += int64(len(s.front))
	}
	return s, nil
}

// Size is what Read gives in all, in octets.
func (s *Source) Size() int64 { return s.size }

// Err is why the content could not be read to its end, nil when it could, or was
// not. A scanner that was shown part of a message has not judged it.
func (s *Source) Err() error { return s.err }

// Read implements io.Reader.
func (s *Source) Read(p []byte) (int, error) {
	if len(s.front) > 0 {
		n := copy(p, s.front)
		s.front = s.front[n:]
		return n, nil
	}
	n, err := s.content.Read(p)
	s.sum.Write(p[:n])
	switch {
	case err == io.EOF && s.digest.Load() == nil:
		d := Digest{Size: s.octets}
		s.sum.Sum(d.Sum[:0])
		s.digest.Store(&d)
	case err != nil && err != io.EOF:
		s.err = err
	}
	return n, err
}

// Digest is that of the whole content; ok is false before it was read to its end.
func (s *Source) Digest() (d Digest, ok bool) {
	if p := s.digest.Load(); p != nil {
		return *p, true
	}
	return Digest{}, false
}

// Close ends reading.
func (s *Source) Close() error { return s.content.Close() }
