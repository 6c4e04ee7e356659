package telemetry

import (
	"io"
	"sync"
	"time"
)

// delay is how long a line may wait for others to be written with.
const delay = 50 * time.Millisecond

// writer gathers lines: under load a write for each would cost as much as the
// work it tells of. A line is written after the delay at the latest, or when
// the buffer is full; Flush writes at once. Lines that wait are lost with the
// process when it is killed; the queue's own record of a message is not.
type writer struct {
	mu    sync.Mutex
	w     io.Writer
	buf   []byte
	timer *time.Timer // runs while buf holds something
}

const bufferSize = 64 << 10

func newWriter(w io.Writer) *writer {
	b := &writer{w: w, buf: make([]byte, 0, bufferSize)}
	b.timer = time.AfterFunc(time.Hour, b.Flush)
	b.timer.Stop()
	return b
}

// Write keeps whole lines together. It never fails: there is nobody to tell.
func (b *writer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.buf)+len(line) > bufferSize {
		b.flush()
	}
	if len(b.buf) == 0 {
		b.timer.Reset(delay)
	}
	b.buf = append(b.buf, line...)
	return len(line), nil
}

// Flush writes what waits.
func (b *writer) Flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flush()
}

func (b *writer) flush() {
	if len(b.buf) == 0 {
		return
	}
	_, _ = b.w.Write(b.buf)
	b.buf = b.buf[:0]
}
