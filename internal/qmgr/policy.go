package qmgr

import (
	"math"
	"time"

	"mtad/internal/dsn"
	"mtad/queue"
)

// policy says when an item is tried again, when it is too old, and when its
// sender is told of the delay. All of it is arithmetic on its arguments.
type policy struct {
	min, max               time.Duration
	factor, jitter         float64
	lifetime, nullLifetime time.Duration
	delayWarning           time.Duration
}

func newPolicy(o *Options) policy {
	return policy{o.MinBackoff, o.MaxBackoff, o.Factor, o.Jitter, o.Lifetime, o.NullLifetime, o.DelayWarning}
}

// backoff is the wait after the given number of attempts (from 1): min ×
// factor^(attempts-1), at most max, varied by the jitter; r is in [0,1). The
// result is in [min, max].
func (p *policy) backoff(attempts int, r float64) time.Duration {
	d := float64(p.min) * math.Pow(p.factor, float64(max(attempts, 1)-1))
	d = min(d, float64(p.max)) * (1 + p.jitter*(2*r-1))
	return time.Duration(min(max(d, float64(p.min)), float64(p.max)))
}

// expires is when delivery is given up. What was held begins anew when it is let
// go: a message that comes out of quarantine after a week is not to fail at the
// first 4yz.
func (p *policy) expires(it *queue.Item) time.Time {
	began := begins(it)
	for i := range it.Trail {
		if s := &it.Trail[i]; s.Kind == queue.EventReleased && s.At.After(began) {
			began = s.At
		}
	}
	switch {
	case !it.Expires.IsZero():
		return it.Expires
	case it.Envelope.ReversePath == "":
		return began.Add(p.nullLifetime)
	}
	return began.Add(p.lifetime)
}

// begins is when delivery of an item could begin at the earliest.
func begins(it *queue.Item) time.Time {
	if at := it.SendAt(); at.After(it.Created) {
		return at
	}
	return it.Created
}

// retryAt is when an item is due again that would wait until at: not after its
// end, so that it is tried a last time then, and not at once.
func (p *policy) retryAt(it *queue.Item, at, now time.Time) time.Time {
	if end := p.expires(it); at.After(end) {
		at = end
	}
	if soon := now.Add(time.Second); at.Before(soon) {
		at = soon
	}
	return at
}

// warn says whether the delayed DSN of recipient i is due.
func (p *policy) warn(it *queue.Item, i int, now time.Time) bool {
	rc := &it.Envelope.Recipients[i]
	after := p.delayWarning
	if after == 0 && rc.Notify&queue.NotifyDelay != 0 {
		after = DefaultDelay
	}
	return after > 0 && rc.Status == queue.Pending && !rc.DelaySent &&
		!now.Before(begins(it).Add(after)) && dsn.Wanted(it, dsn.Delayed, i)
}
