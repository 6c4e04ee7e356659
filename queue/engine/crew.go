package engine

import "sync"

// crew owns goroutines: Wait ends when all of them have, and none is begun
// after it.
type crew struct {
	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

// Go runs f, or does nothing when the crew is closed.
func (g *crew) Go(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.wg.Go(f)
	}
}

// Wait closes the crew and waits.
func (g *crew) Wait() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.wg.Wait()
}
