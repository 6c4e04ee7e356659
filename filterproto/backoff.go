package filterproto

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// backoff waits longer after each failure, with jitter, or as long as the server
// said.
type backoff struct {
	min, max, next time.Duration
}

func (b *backoff) reset() { b.next = 0 }

func (b *backoff) wait(ctx context.Context, err error) {
	b.next = min(b.max, max(b.min, 2*b.next))
	d := b.next/2 + rand.N(b.next/2)
	var e *Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		d = min(b.max, time.Duration(e.RetryAfter)*time.Second)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
