package milterfilter

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mtad/internal/milter"
	"mtad/internal/milter/miltertest"
)

// said answers the negotiation and returns the command that comes next.
func said(c net.Conn) (command byte) {
	var offer [17]byte
	if _, err := io.ReadFull(c, offer[:]); err != nil {
		return 0
	}
	_, _ = io.WriteString(c, miltertest.Uint32(13)+"O"+miltertest.Uint32(6, 0, 0))
	var next [5]byte
	_, _ = io.ReadFull(c, next[:])
	return next[4]
}

func TestKeptConversationEndsWhenNobodyWantsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last atomic.Uint32
		client, err := milter.New(milter.Options{Network: "tcp", Address: "pipe", Dial: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() { last.Store(uint32(said(theirs))) }()
			return ours, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		k := &kept{max: 1}
		k.put(&conversation{s: must(client.Open(t.Context())), since: time.Now()})
		state := func() (waiting int, command byte) {
			synctest.Wait()
			k.mu.Lock()
			defer k.mu.Unlock()
			return len(k.list), byte(last.Load())
		}
		time.Sleep(keptIdle - time.Millisecond)
		if n, command := state(); n != 1 || command != 0 {
			t.Errorf("%d are kept, %q was said; want it kept still", n, command)
		}
		time.Sleep(time.Millisecond)
		if n, command := state(); n != 0 || command != 'Q' {
			t.Errorf("%d are kept, %q was said; want none and Q", n, command)
		}
		k.put(&conversation{s: must(client.Open(t.Context())), since: time.Now().Add(-keptAge - time.Second)})
		if n, _ := state(); n != 0 {
			t.Error("an old conversation is kept")
		}
	})
}
