package queuetest

import (
	"time"

	"mtad/queue"
)

// ended makes a lease on one item of each kind run out.
func (r *rig) ended(spec queue.ClaimSpec) (queue.ID, queue.Token) {
	r.Helper()
	c := r.claimOne(spec)
	r.Advance(spec.Lease + time.Second)
	return c.Item.ID, c.Token
}

var leaseTests = []behaviour{
	{"a lease that runs out returns the item to unfiltered", advance, func(r *rig) {
		r.unfiltered()
		id, _ := r.ended(forScan)
		if c := r.claimSoon(forScan); c.Item.ID != id || c.Item.Stage != "scan" {
			r.Errorf("claimed %+v", c.Item)
		}
	}},
	{"a lease that runs out returns the item to incoming", advance, func(r *rig) {
		r.incoming()
		id, _ := r.ended(forDelivery)
		r.eventually("state incoming", func() bool { return r.get(id).State == queue.Incoming })
		r.claimSoon(forDelivery)
	}},
	{"a lease that runs out returns the item to deferred", advance, func(r *rig) {
		r.deferred()
		id, _ := r.ended(forRetry)
		r.eventually("state deferred", func() bool { return r.get(id).State == queue.Deferred })
		r.claimSoon(forRetry)
	}},
	{"a lease that runs out leaves the message unharmed", advance, func(r *rig) {
		before := r.get(r.unfiltered().ID)
		r.ended(forScan)
		c := r.claimSoon(forScan)
		r.reads(queue.OpenSpec{Token: c.Token, Generation: -1}, text)
		if c.Item.Attempts != before.Attempts || len(c.Item.Generations) != 1 || len(c.Item.Verdicts) != 0 {
			r.Errorf("changed to %+v", c.Item)
		}
	}},
	{"the late answer of the old holder is refused", advance, func(r *rig) {
		r.unfiltered()
		_, old := r.ended(forScan)
		c := r.claimSoon(forScan)
		r.refused(r.tries(old, queue.Move{To: queue.Incoming}), queue.ErrLeaseLost)
		r.change(c.Token, queue.Move{To: queue.Incoming})
	}},
	{"a late answer is refused when nobody else holds the item", advance, func(r *rig) {
		id := r.unfiltered().ID
		_, old := r.ended(forScan)
		r.refused(r.tries(old, queue.Finish{Disposition: queue.Discarded}), queue.ErrLeaseLost)
		r.inState(id, queue.Unfiltered)
	}},
	{"everything is refused under a token that lost its lease", advance, func(r *rig) {
		r.unfiltered()
		_, old := r.ended(forScan)
		r.everythingRefused(old)
	}},
	{"everything is refused under a forged token", nothing, func(r *rig) {
		r.unfiltered()
		r.claimOne(forScan)
		for _, t := range []queue.Token{"x", "00000000000000000000000000", "\x00", queue.Token(octets(5000))} {
			r.everythingRefused(t)
		}
	}},
	{"an extension keeps the lease", advance, func(r *rig) {
		r.unfiltered()
		c := r.claimOne(forScan)
		for range 3 {
			r.Advance(40 * time.Second)
			r.must(r.q.Extend(r.ctx(), []queue.Token{c.Token}, time.Minute)[0])
		}
		r.change(c.Token, queue.Move{To: queue.Incoming})
	}},
	{"an extension may shorten the lease", advance, func(r *rig) {
		r.unfiltered()
		c := r.claimOne(forScan)
		r.must(r.q.Extend(r.ctx(), []queue.Token{c.Token}, time.Second)[0])
		r.Advance(2 * time.Second)
		r.refused(r.tries(c.Token, queue.Move{To: queue.Incoming}), queue.ErrLeaseLost)
	}},
	{"an extension answers each token", nothing, func(r *rig) {
		r.unfiltered()
		r.unfiltered()
		claims := r.claim(forScan)
		errs := r.q.Extend(r.ctx(), []queue.Token{claims[0].Token, "forged", claims[1].Token}, time.Minute)
		if len(errs) != 3 || errs[0] != nil || errs[2] != nil {
			r.Fatalf("errors %v", errs)
		}
		r.refused(errs[1], queue.ErrLeaseLost)
	}},
	{"a released item is claimable at once", nothing, func(r *rig) {
		id := r.incoming().ID
		c := r.claimOne(forDelivery)
		r.must(r.q.Release(r.ctx(), c.Token, 0, false))
		r.inState(id, queue.Incoming)
		if c := r.claimOne(forDelivery); c.Item.LostClaims != 0 {
			r.Errorf("%d lost claims, want 0", c.Item.LostClaims)
		}
	}},
	{"a released item waits for its delay", advance, func(r *rig) {
		r.unfiltered()
		c := r.claimOne(forScan)
		r.must(r.q.Release(r.ctx(), c.Token, 30*time.Second, false))
		r.claimNone(forScan)
		r.Advance(30 * time.Second)
		r.claimSoon(forScan)
	}},
	{"a flush cancels the delay of a release", nothing, func(r *rig) {
		id := r.incoming().ID
		r.must(r.q.Release(r.ctx(), r.claimOne(forDelivery).Token, time.Hour, false))
		r.operate(id, queue.SetNextAt{})
		r.claimOne(forDelivery)
	}},
	{"a release ends the lease", nothing, func(r *rig) {
		r.unfiltered()
		c := r.claimOne(forScan)
		r.must(r.q.Release(r.ctx(), c.Token, 0, false))
		r.everythingRefused(c.Token)
	}},
	{"a release as lost is counted", nothing, func(r *rig) {
		r.unfiltered()
		r.must(r.q.Release(r.ctx(), r.claimOne(forScan).Token, 0, true))
		if c := r.claimOne(forScan); c.Item.LostClaims != 1 {
			r.Errorf("%d lost claims, want 1", c.Item.LostClaims)
		}
	}},
	{"a lease that runs out is counted", advance, func(r *rig) {
		r.unfiltered()
		r.ended(forScan)
		if c := r.claimSoon(forScan); c.Item.LostClaims != 1 {
			r.Errorf("%d lost claims, want 1", c.Item.LostClaims)
		}
	}},
	{"a message that kills its scanners is held as poison", nothing, func(r *rig) {
		id := r.unfiltered().ID
		for range 1000 {
			claims := r.claim(forScan)
			if len(claims) == 0 {
				break
			}
			r.must(r.q.Release(r.ctx(), claims[0].Token, 0, true))
		}
		if h := r.get(id).Hold; h == nil || h.Reason != "poison" {
			r.Errorf("hold %+v, want reason poison", h)
		}
		r.operate(id, queue.ReleaseHold{})
		if n := r.claimOne(forScan).Item.LostClaims; n != 0 {
			r.Errorf("released with %d lost claims, want a fresh start", n)
		}
	}},
	{"a change of stage forgets the lost claims", nothing, func(r *rig) {
		id := r.unfiltered().ID
		r.must(r.q.Release(r.ctx(), r.claimOne(forScan).Token, 0, true))
		r.judge()
		if n := r.get(id).LostClaims; n != 0 {
			r.Errorf("%d lost claims, want 0", n)
		}
	}},
}

// everythingRefused tries every call that takes a token.
func (r *rig) everythingRefused(t queue.Token) {
	r.Helper()
	r.refused(r.tries(t, queue.Move{To: queue.Incoming}), queue.ErrLeaseLost)
	r.refused(r.q.Extend(r.ctx(), []queue.Token{t}, time.Minute)[0], queue.ErrLeaseLost)
	r.refused(r.q.Release(r.ctx(), t, 0, false), queue.ErrLeaseLost)
	_, err := r.q.Upload(r.ctx(), t)
	r.refused(err, queue.ErrLeaseLost)
	_, err = r.q.Open(r.ctx(), queue.OpenSpec{Token: t, Generation: -1})
	r.refused(err, queue.ErrLeaseLost)
}
