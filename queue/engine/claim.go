package engine

import (
	"context"
	"fmt"
	"time"

	"mtad/queue"
)

// Claim implements queue.Queue.
func (e *Engine) Claim(ctx context.Context, s queue.ClaimSpec) ([]queue.Claim, error) {
	if err := checkClaim(&s); err != nil {
		return nil, err
	}
	var timeout <-chan time.Time
	for {
		cs, w, err := e.tryClaim(&s)
		if err != nil || len(cs) > 0 || s.Wait <= 0 {
			return cs, err
		}
		if timeout == nil {
			t := time.NewTimer(s.Wait)
			defer t.Stop()
			timeout = t.C
		}
		select {
		case <-w.ready:
			continue
		case <-ctx.Done():
			err = ctx.Err()
		case <-timeout:
		case <-e.ctx.Done():
			err = queue.ErrUnavailable
		}
		e.mu.Lock()
		l := e.lane(laneID{s.From, s.Stage})
		l.forget(w)
		select {
		case <-w.ready: // woken for nothing: let the next one have it
			l.wake(1)
		default:
		}
		e.mu.Unlock()
		return nil, err
	}
}

func checkClaim(s *queue.ClaimSpec) error {
	switch {
	case s.From == queue.Unfiltered && s.Stage == "":
		return fmt.Errorf("%w: a claim from unfiltered names a stage", queue.ErrInvalid)
	case s.From != queue.Unfiltered && s.From != queue.Incoming && s.From != queue.Deferred:
		return fmt.Errorf("%w: nothing is claimed from %v", queue.ErrInvalid, s.From)
	case s.From != queue.Unfiltered && s.Stage != "":
		return fmt.Errorf("%w: only unfiltered has stages", queue.ErrInvalid)
	case s.Max < 1 || s.Max > queue.MaxClaim:
		return fmt.Errorf("%w: max is 1 to %d", queue.ErrInvalid, queue.MaxClaim)
	case s.Lease <= 0:
		return fmt.Errorf("%w: lease of %v", queue.ErrInvalid, s.Lease)
	case len(s.Stage) > maxName || len(s.Holder) > maxName:
		return tooLarge("stage or holder", maxName)
	}
	s.Lease, s.Wait = min(s.Lease, queue.MaxLease), min(s.Wait, queue.MaxWait)
	return nil
}

// pick is what a claim takes as it goes.
type pick struct {
	s     *queue.ClaimSpec
	lane  *lane
	now   time.Time
	out   []queue.Claim
	bytes int64
	hops  map[string]int
	full  bool
}

// tryClaim takes what is there, or registers a waiter.
func (e *Engine) tryClaim(s *queue.ClaimSpec) ([]queue.Claim, *waiter, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.usable(); err != nil {
		return nil, nil, err
	}
	p := pick{s: s, now: e.o.Now()}
	if _, err := e.moveDue(); err != nil {
		return nil, nil, unavailable("claim", err)
	}
	id := laneID{s.From, s.Stage}
	p.lane = e.lane(id)
	if err := e.fill(&p); err != nil {
		return nil, nil, err
	}
	if len(p.out) > 0 {
		e.wakeHousekeeper()
		return p.out, nil, nil
	}
	w := &waiter{ready: make(chan struct{}), picky: len(s.NotNextHops) > 0 || s.PerNextHop > 0 || len(s.PerNextHopMax) > 0}
	if s.Wait > 0 {
		p.lane.waiters = append(p.lane.waiters, w)
	}
	return nil, w, nil
}

// fill serves the lane: who waits for a reply first, then next hop by next hop.
func (e *Engine) fill(p *pick) error {
	if err := e.fillStaged(p); err != nil {
		return err
	}
	for n := 0; ; n++ {
		if err := e.fillRings(p); err != nil {
			return err
		}
		// The housekeeper goes on with a long scan, and wakes who waits.
		if p.done(e) || !p.lane.scanning || n >= 4 {
			return nil
		}
		had := len(p.lane.hops)
		if _, err := e.scan(p.lane); err != nil {
			return unavailable("claim", err)
		}
		if len(p.lane.hops) == had && p.lane.scanAt == nil {
			return nil
		}
	}
}

func (p *pick) done(e *Engine) bool {
	return p.full || len(p.out) >= p.s.Max || limited(p.s.From) && e.leases.active >= e.o.ActiveLimit
}

// fillRings goes around each ring, the highest priority first, until nobody in it
// has something for this claim.
func (e *Engine) fillRings(p *pick) error {
	l := p.lane
	for i := 0; i < len(l.rings) && !p.done(e); {
		r := l.rings[i]
		idle := 0
		for r.n > 0 && idle < r.n && !p.done(e) {
			h := r.head
			took, err := e.takeFrom(p, h)
			if err != nil {
				return err
			}
			if r.head == h {
				r.head = h.next
			}
			l.arrange(h)
			switch {
			case took:
				idle = 0
			case h.ring == r: // one that left does not count: there are fewer to ask
				idle++
			}
		}
		if i < len(l.rings) && l.rings[i] == r {
			i++
		} else {
			i = 0
		}
	}
	return nil
}

func (p *pick) allowed(hop string) bool {
	if p.s.NotNextHops[hop] {
		return false
	}
	if p.s.From == queue.Unfiltered {
		return true
	}
	limit := p.s.PerNextHop
	if m, ok := p.s.PerNextHopMax[hop]; ok {
		limit = m
	}
	return limit <= 0 || p.hops[hop] < limit
}

// takeFrom takes one item of a next hop.
func (e *Engine) takeFrom(p *pick, h *hopQueue) (bool, error) {
	if !p.allowed(h.name) {
		return false, nil
	}
	for {
		for len(h.win) == 0 && h.more {
			if err := e.refill(p.lane, h); err != nil {
				return false, unavailable("claim", err)
			}
		}
		if len(h.win) == 0 {
			return false, nil
		}
		s := h.win[0]
		if !e.free(s.key) {
			h.win = h.win[1:]
			continue
		}
		r, err := e.fetch(s.key)
		if err == nil {
			if at, ok := r.place(); !ok || at.lane != p.lane.id || at.slot != s || at.hop != h.name {
				err = queue.ErrConflict // moved since; its new place is known elsewhere
			}
		}
		switch {
		case err == nil:
		case isUnreadable(err):
			h.win = h.win[1:]
			continue
		default:
			return false, err
		}
		if !p.fits(r) {
			return false, nil
		}
		h.win = h.win[1:]
		e.grant(p, r, false)
		if p.hops == nil {
			p.hops = map[string]int{}
		}
		p.hops[h.name]++
		return true, nil
	}
}

func isUnreadable(err error) bool {
	return isAny(err, queue.ErrNotFound, queue.ErrConflict, queue.ErrCorrupt)
}

// fits keeps MaxBytes; the first item always fits.
func (p *pick) fits(r *rec) bool {
	if p.s.MaxBytes > 0 && len(p.out) > 0 && p.bytes+r.Size() > p.s.MaxBytes {
		p.full = true
		return false
	}
	p.bytes += r.Size()
	return true
}

// grant makes the lease.
func (e *Engine) grant(p *pick, r *rec, staged bool) {
	l := &lease{token: newToken(r.key()), key: r.key(), r: r, rev: r.rev, from: p.s.From, holder: p.s.Holder,
		since: p.now, until: p.now.Add(p.s.Lease), stage: r.Stage, staged: staged}
	e.leases.add(l)
	p.out = append(p.out, queue.Claim{Item: e.show(r, l), Token: l.token, For: p.s.Lease})
}

// show is the item as its readers see it. mu is held.
func (e *Engine) show(r *rec, l *lease) queue.Item {
	it := copyItem(r)
	if l != nil {
		it.State = e.stateOf(r, l)
		it.Lease = l.info()
	}
	return it
}

// fillStaged takes staged items: their clients wait.
func (e *Engine) fillStaged(p *pick) error {
	l := p.lane
	for i := 0; i < len(l.staged) && !p.done(e); {
		k := l.staged[i]
		m := e.staged[k.msg]
		if m == nil || m.items[k] == nil {
			l.dropStaged(k)
			continue
		}
		r := m.items[k]
		if !e.free(k) || !p.allowed(shorten(r.hop())) || !p.fits(r) {
			i++
			continue
		}
		l.dropStaged(k)
		e.grant(p, r, true)
	}
	return nil
}
