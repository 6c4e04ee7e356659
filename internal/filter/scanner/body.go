package scanner

import (
	"io"
	"sync"
)

// Body is the body of a request of size octets that knows how much of it went. The
// transport may go on reading after it has answered: after Stop nothing happens any
// more. It is safe for concurrent use.
type Body struct {
	r    io.Reader
	size int64

	mu   sync.Mutex
	sent int64
	err  error
	over bool
}

// NewBody sends what r gives; r is closed by who opened it.
func NewBody(r io.Reader, size int64) *Body { return &Body{r: r, size: size} }

// Read implements io.Reader.
func (b *Body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.over && b.sent == b.size:
		return 0, io.EOF
	case b.over:
		return 0, io.ErrClosedPipe
	}
	n, err := b.r.Read(p)
	b.sent += int64(n)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

// Close implements io.Closer.
func (b *Body) Close() error { return nil }

// Stop ends it. sent is how much was read, in octets; err is why it could not be
// read further, nil when it could.
func (b *Body) Stop() (sent int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	return b.sent, b.err
}
