package hookclient

import (
	"bytes"
	"io"
	"sync"
)

// body knows how much of it went. The transport may go on reading after it has
// answered: after stop nothing happens any more.
type body struct {
	r    io.Reader
	size int64

	mu   sync.Mutex
	sent int64
	over bool
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
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
	return n, err
}

// whole reads all of it.
func (b *body) whole() (io.ReadCloser, error) {
	all := make([]byte, b.size)
	n, err := io.ReadFull(b.r, all)
	b.sent = int64(n)
	return io.NopCloser(bytes.NewReader(all)), err
}

// Close implements io.Closer; what is read is closed by who opened it.
func (b *body) Close() error { return nil }

func (b *body) stop() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	return b.sent
}
