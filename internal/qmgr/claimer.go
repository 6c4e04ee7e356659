package qmgr

import (
	"context"
	"time"

	"mtad/queue"
)

const (
	longPoll  = time.Second           // a claim waits for mail, when any next hop will do
	shortPoll = 20 * time.Millisecond // between claims that leave next hops out
	few       = 16                    // items that make a small claim
	moment    = time.Millisecond      // for mail to collect
	firstRest = 50 * time.Millisecond // after an error, doubled up to lastRest
	lastRest  = 5 * time.Second
)

// claimer keeps the active set supplied with one class, until ctx ends.
func (m *Manager) claimer(ctx, store context.Context, c class) {
	rest := firstRest
	for ctx.Err() == nil {
		s := m.spec(c)
		if s.Max == 0 {
			m.pause(ctx, c, longPoll)
			continue
		}
		claims, err := m.o.Queue.Claim(ctx, s)
		m.take(ctx, store, c, claims)
		switch {
		case err != nil && ctx.Err() == nil:
			m.log.Warn("claim", "from", s.From.String(), "error", err, "rest", rest)
			m.pause(ctx, c, rest)
			rest = min(2*rest, lastRest)
			continue
		case len(claims) == 0 && s.Wait == 0:
			m.pause(ctx, c, shortPoll)
		default:
			m.gather(ctx, len(claims))
		}
		rest = firstRest
	}
}

// gather lets mail collect for a moment after a small claim, when there is
// enough to do anyway: each claim costs the queue about the same.
func (m *Manager) gather(ctx context.Context, got int) {
	if 0 < got && got < few && m.Active() > few {
		ended(ctx.Done(), moment)
	}
}

// pause waits until more can be claimed than before, at most d.
func (m *Manager) pause(ctx context.Context, c class, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-m.kick[c]:
	case <-t.C:
	}
}

// spec is what to claim. A claim that leaves next hops out does not wait in the
// queue: it would not hear when they are wanted again.
func (m *Manager) spec(c class) queue.ClaimSpec {
	m.mu.Lock()
	o := m.core.order(c)
	m.mu.Unlock()
	s := queue.ClaimSpec{
		From: queue.Incoming, Holder: m.o.Holder, Max: o.max, Lease: m.o.Lease, Wait: longPoll,
		NotNextHops: o.not, PerNextHop: o.perHop, PerNextHopMax: o.perHopMax,
	}
	if c == retry {
		s.From = queue.Deferred
	}
	if o.not != nil {
		s.Wait = 0
	}
	return s
}

// take puts claims into the active set, or gives them back when ctx has ended.
func (m *Manager) take(ctx, store context.Context, c class, claims []queue.Claim) {
	if len(claims) == 0 {
		return
	}
	now := time.Now()
	jobs := make([]job, len(claims))
	for i := range claims {
		j := &jobs[i]
		j.class, j.Claim, j.renewAt = c, claims[i], now.Add(m.o.Lease/3)
		j.eager = c == retry && j.Item.NextAt.IsZero() // a flush; what we deferred has a time
		j.led = newLedger(&j.Item)
		m.refresh(j)
	}
	if ctx.Err() != nil {
		for i := range jobs {
			m.release(store, &jobs[i])
		}
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range jobs {
		j := &jobs[i]
		m.live[j] = struct{}{}
		m.core.add(j, m.assign(j), now)
	}
	for range min(m.idle, len(jobs)) {
		m.wake.Signal()
	}
}
