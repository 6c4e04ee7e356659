package queuetest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"mtad/queue"
)

// Claim leases items, waiting for the first.
func (m *Model) Claim(ctx context.Context, s queue.ClaimSpec) ([]queue.Claim, error) {
	if err := checkClaim(&s); err != nil {
		return nil, err
	}
	deadline := m.clock.Now().Add(s.Wait)
	for {
		claims, changed, pause, err := m.tryClaim(s, deadline)
		if len(claims) > 0 || err != nil || pause <= 0 {
			return claims, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		case <-m.clock.After(pause):
		}
	}
}

func checkClaim(s *queue.ClaimSpec) error {
	switch {
	case s.From == queue.Unfiltered && s.Stage == "":
		return fmt.Errorf("%w: claim without a stage", queue.ErrInvalid)
	case s.From != queue.Unfiltered && s.From != queue.Incoming && s.From != queue.Deferred:
		return fmt.Errorf("%w: claim from state %q", queue.ErrInvalid, s.From)
	case s.Max < 1 || s.Max > queue.MaxClaim:
		return fmt.Errorf("%w: claim of %d items", queue.ErrInvalid, s.Max)
	case s.Lease <= 0:
		return fmt.Errorf("%w: lease of %v", queue.ErrInvalid, s.Lease)
	}
	s.Lease = min(s.Lease, queue.MaxLease)
	s.Wait = min(s.Wait, queue.MaxWait)
	return nil
}

// tryClaim claims what is there. When nothing is, it says what to wait for; a
// pause of 0 means that the time is up.
func (m *Model) tryClaim(s queue.ClaimSpec, deadline time.Time) ([]queue.Claim, <-chan struct{}, time.Duration, error) {
	now, err := m.enter()
	defer m.leave()
	if err != nil {
		return nil, nil, 0, err
	}
	var claims []queue.Claim
	for _, it := range m.pick(s, now) {
		claims = append(claims, m.lease(it, s, now))
	}
	return claims, m.changed, min(deadline.Sub(now), m.nextAlarm(now)), nil
}

func (m *Model) lease(it *item, s queue.ClaimSpec, now time.Time) queue.Claim {
	l := &lease{
		token: m.newToken(), holder: s.Holder, stage: it.Stage, since: now, until: now.Add(s.Lease),
		delivery: s.From != queue.Unfiltered, uploads: map[queue.BlobID]bool{}, item: it,
	}
	it.lease = l
	m.leases[l.token] = l
	m.serve++
	m.served[nextHop(it)] = m.serve
	return queue.Claim{Item: it.view(), Token: l.token, For: s.Lease}
}

// claimable says whether s may have the item now.
func (it *item) claimable(s queue.ClaimSpec, now time.Time) bool {
	switch {
	case it.lease != nil || it.Hold != nil, it.NextAt.After(now), it.notBefore.After(now):
		return false
	case it.State != s.From:
		return false
	case s.From == queue.Unfiltered:
		return it.Stage == s.Stage
	}
	return !it.msg.staged && !s.NotNextHops[nextHop(it)]
}

// nextHop is where the item goes: that of its first pending recipient.
func nextHop(it *item) string {
	for _, r := range it.Envelope.Recipients {
		if r.Status == queue.Pending {
			return r.NextHop
		}
	}
	return ""
}

// pick chooses in rounds: each takes the best item of every next hop, those
// that were served longest ago first. Unfiltered is one single next hop.
func (m *Model) pick(s queue.ClaimSpec, now time.Time) []*item {
	lines := map[string][]*item{}
	for _, it := range m.state.live(func(it *item) bool { return it.claimable(s, now) }) {
		key := ""
		if s.From != queue.Unfiltered {
			key = nextHop(it)
		}
		lines[key] = append(lines[key], it)
	}
	hops := m.byService(lines)
	var picked []*item
	var bytes int64
	for round := 0; len(hops) > 0; round++ {
		var more []string
		for _, hop := range hops {
			if round >= len(lines[hop]) || round >= perHop(s, hop) {
				continue
			}
			it := lines[hop][round]
			bytes += it.Size()
			if len(picked) == s.Max || len(picked) > 0 && s.MaxBytes > 0 && bytes > s.MaxBytes {
				return picked
			}
			picked = append(picked, it)
			more = append(more, hop)
		}
		hops = more
	}
	return picked
}

func perHop(s queue.ClaimSpec, hop string) int {
	n, ok := s.PerNextHopMax[hop]
	if !ok {
		n = s.PerNextHop
	}
	if n == 0 {
		return s.Max
	}
	return n
}

// byService orders the next hops, and the items within each: priority, age.
func (m *Model) byService(lines map[string][]*item) []string {
	var hops []string
	for hop, line := range lines {
		hops = append(hops, hop)
		slices.SortStableFunc(line, func(a, b *item) int { return int(b.Priority) - int(a.Priority) })
	}
	slices.SortFunc(hops, func(a, b string) int {
		if m.served[a] != m.served[b] {
			if m.served[a] < m.served[b] {
				return -1
			}
			return 1
		}
		return compareID(lines[a][0].ID, lines[b][0].ID)
	})
	return hops
}

// held returns the living lease of a token.
func (m *Model) held(t queue.Token) (*lease, error) {
	if l := m.leases[t]; l != nil {
		return l, nil
	}
	return nil, queue.ErrLeaseLost
}

// Extend sets each lease to run d from now.
func (m *Model) Extend(ctx context.Context, tokens []queue.Token, d time.Duration) []error {
	now, err := m.enter()
	defer m.leave()
	if err == nil && d <= 0 {
		err = fmt.Errorf("%w: extension of %v", queue.ErrInvalid, d)
	}
	errs := make([]error, len(tokens))
	for i, t := range tokens {
		l, lost := m.held(t)
		switch {
		case err != nil:
			errs[i] = err
		case lost != nil:
			errs[i] = lost
		default:
			l.until = now.Add(min(d, queue.MaxLease))
		}
	}
	return errs
}

// Release gives an item back.
func (m *Model) Release(ctx context.Context, t queue.Token, delay time.Duration, lost bool) error {
	now, err := m.enter()
	defer m.leave()
	if err != nil {
		return err
	}
	l, err := m.held(t)
	if err != nil {
		return err
	}
	it := l.item
	m.drop(l)
	if delay > 0 {
		it.notBefore = now.Add(delay)
	}
	if lost {
		m.lost(it, l, now)
	}
	m.wake()
	return nil
}

// drop ends a lease and forgets what was uploaded under it and not used.
func (m *Model) drop(l *lease) {
	delete(m.leases, l.token)
	l.item.lease = nil
	for id, used := range l.uploads {
		if !used {
			delete(l.item.msg.blobs, id)
		}
	}
}

// lost counts a lease that ran out; too many make the item poison.
func (m *Model) lost(it *item, l *lease, now time.Time) {
	if !it.msg.staged {
		m.durable(true)
	}
	it.LostClaims++
	it.step(now, queue.EventClaimLost, l.holder)
	m.tell(it.msg, queue.Event{At: now, Kind: queue.EventClaimLost, ID: it.ID, State: it.State, Text: l.holder})
	if it.LostClaims >= m.o.MaxClaims && it.Hold == nil {
		it.Hold = &queue.Hold{By: "mtad", Reason: "poison", Since: now}
		it.step(now, queue.EventHeld, "poison")
		m.tell(it.msg, queue.Event{At: now, Kind: queue.EventHeld, ID: it.ID, State: it.State, Text: "poison"})
	}
	m.state.touch(it)
}
