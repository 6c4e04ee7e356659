package milterfilter

import (
	"context"
	"slices"
	"sync"
	"time"

	"mtad/internal/milter"
)

// Bounds of conversations that wait for another message of the same client.
const (
	keptIdle    = 10 * time.Second // unused
	keptAge     = time.Minute      // since it began: a milter that was configured anew has another word soon
	keptChances = 4                // that are tried for one message
)

// kept are the conversations of a filter that have ended a message and may go on
// with another, as they do within an SMTP session. It is safe for concurrent use.
type kept struct {
	mu     sync.Mutex
	list   []*conversation // the longest unused first
	closed bool
	max    int
}

// conversation is one that has come past HELO.
type conversation struct {
	s     *milter.Session
	with  greeted
	since time.Time
	timer *time.Timer // while it is kept
}

// take returns a conversation with a client, or nil; with others also one with
// another client that can be renewed. The caller gives it back or closes its session.
func (k *kept) take(ctx context.Context, with greeted, others bool) *conversation {
	for range keptChances {
		c := k.find(func(c *conversation) bool { return c.with == with })
		if c == nil && others {
			c = k.find(func(c *conversation) bool { return c.s.Renewable() })
		}
		if c == nil {
			return nil
		}
		if c.s.Rests() && c.s.Bind(ctx) {
			return c
		}
		c.s.Close()
	}
	return nil
}

// find takes out the last one that will do.
func (k *kept) find(fits func(*conversation) bool) *conversation {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, c := range slices.Backward(k.list) {
		if fits(c) {
			k.list = slices.Delete(k.list, i, i+1)
			c.timer.Stop()
			return c
		}
	}
	return nil
}

// put keeps a conversation, if it is fit for that, or closes it.
func (k *kept) put(c *conversation) {
	if c.s.Abort() != nil || time.Since(c.since) > keptAge || !c.s.Bind(context.Background()) {
		c.s.Close()
		return
	}
	if out := k.add(c); out != nil {
		out.s.Close()
	}
}

// add returns the one that there is no room for.
func (k *kept) add(c *conversation) (out *conversation) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return c
	}
	if len(k.list) >= k.max {
		out = k.list[0]
		out.timer.Stop()
		k.list = slices.Delete(k.list, 0, 1)
	}
	c.timer = time.AfterFunc(keptIdle, func() { k.expire(c) })
	k.list = append(k.list, c)
	return out
}

func (k *kept) expire(c *conversation) {
	k.mu.Lock()
	i := slices.Index(k.list, c)
	if i >= 0 {
		k.list = slices.Delete(k.list, i, i+1)
	}
	k.mu.Unlock()
	if i >= 0 {
		c.s.Close()
	}
}

// close ends those that wait, and takes no more.
func (k *kept) close() {
	k.mu.Lock()
	list := k.list
	k.list, k.closed = nil, true
	k.mu.Unlock()
	for _, c := range list {
		c.timer.Stop()
		c.s.Close()
	}
}
