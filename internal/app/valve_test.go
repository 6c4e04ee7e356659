package app_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// valve stands between a content filter and the listener that it gives messages
// back to.
type valve struct {
	addr string
	to   string

	mu      sync.Mutex
	arrived chan struct{} // not nil: the next connection is held, and this closed
}

func newValve(t *testing.T, to string) *valve {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v := &valve{addr: ln.Addr().String(), to: to}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { v.pass(c) })
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return v
}

// shut holds the next connection; the channel is closed when it is there.
func (v *valve) shut() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.arrived = make(chan struct{})
	return v.arrived
}

func (v *valve) pass(c net.Conn) {
	defer c.Close()
	v.mu.Lock()
	arrived := v.arrived
	v.arrived = nil
	v.mu.Unlock()
	if arrived != nil {
		close(arrived)
		_, _ = io.Copy(io.Discard, c) // until the other side is gone
		return
	}
	d, err := net.Dial("tcp", v.to)
	if err != nil {
		return
	}
	go func() { _, _ = io.Copy(d, c); d.Close() }()
	_, _ = io.Copy(c, d)
}
