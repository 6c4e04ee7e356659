package engine

import (
	"container/heap"
	"context"
	"fmt"
	"time"

	"mtad/queue"
)

// lease is one living claim.
type lease struct {
	token  queue.Token
	key    key
	r      *rec // the item as it stands; nil: to be read (the log was opened anew)
	rev    uint64
	was    uint64 // rev before the last change: true if that was lost with the log
	ended  bool   // by a change in the batch under way
	from   queue.State
	holder string
	since  time.Time
	until  time.Time
	stage  string
	staged bool
	busy   bool // a change under it is in a batch
	blobs  []upload
}

// upload is a blob that was uploaded under a lease.
type upload struct {
	blob
	sealed bool
}

// info is what people see of a lease.
func (l *lease) info() *queue.Lease {
	return &queue.Lease{Holder: l.holder, Since: l.since.Round(0).UTC(), Until: l.until.Round(0).UTC(), Stage: l.stage}
}

// leaseTable has every lease, and the items that were given back with a delay.
type leaseTable struct {
	byToken map[queue.Token]*lease
	byKey   map[key]*lease
	active  int
	ends    timeHeap          // of leases, by token; entries may be out of date
	blocks  map[key]time.Time // not claimable before
	unblock timeHeap
}

func (t *leaseTable) init() {
	t.byToken = map[queue.Token]*lease{}
	t.byKey = map[key]*lease{}
	t.blocks = map[key]time.Time{}
}

func (t *leaseTable) blocked(k key) bool {
	_, ok := t.blocks[k]
	return ok
}

func (t *leaseTable) add(l *lease) {
	t.byToken[l.token] = l
	t.byKey[l.key] = l
	if limited(l.from) {
		t.active++
	}
	heap.Push(&t.ends, timed{at: l.until, token: l.token})
}

// remove ends a lease: from now on its token is worth nothing.
func (t *leaseTable) remove(l *lease) {
	if t.byToken[l.token] != l {
		return
	}
	delete(t.byToken, l.token)
	if t.byKey[l.key] == l {
		delete(t.byKey, l.key)
	}
	if limited(l.from) {
		t.active--
	}
}

// stale makes every lease read its item again before it is used: the log was
// opened anew. A lease under which something was uploaded ends: uploads that no
// verdict had named are gone with the old log, and a verdict must not name them.
func (t *leaseTable) stale() {
	for _, l := range t.byToken {
		if len(l.blobs) > 0 {
			t.remove(l)
			continue
		}
		l.r, l.busy, l.ended = nil, false, false
	}
}

// timed is something that happens at a time.
type timed struct {
	at    time.Time
	token queue.Token
	key   key
}

type timeHeap []timed

func (h timeHeap) Len() int           { return len(h) }
func (h timeHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h timeHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *timeHeap) Push(x any)        { *h = append(*h, x.(timed)) }
func (h *timeHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// living returns the lease of a token. mu is held.
func (e *Engine) living(t queue.Token) (*lease, error) {
	l := e.leases.byToken[t]
	if l == nil || l.ended || !l.until.After(e.o.Now()) && !l.busy {
		return nil, queue.ErrLeaseLost
	}
	return l, nil
}

// item returns the leased item's record. mu is held.
func (e *Engine) leased(l *lease) (*rec, error) {
	if l.r != nil {
		return l.r, nil
	}
	r, err := e.fetch(l.key)
	if err != nil {
		return nil, err
	}
	if r.rev != l.rev && r.rev != l.was {
		e.leases.remove(l)
		return nil, queue.ErrLeaseLost
	}
	l.r, l.rev = r, r.rev
	return r, nil
}

// endLease ends a lease and makes its item claimable again. mu is held.
func (e *Engine) endLease(l *lease, r *rec) {
	full := e.leases.active >= e.o.ActiveLimit
	e.leases.remove(l)
	e.dropUploads(l)
	if l.staged {
		if m := e.staged[l.key.msg]; m != nil {
			m.requeue(e, l.key)
		}
	} else if r != nil && !e.pending[l.key] {
		e.enqueue(r)
	}
	if full {
		e.wakeLimited()
	}
	e.jobs.leaseEnded()
}

// wakeLimited wakes Claims that wait for room in Active.
func (e *Engine) wakeLimited() {
	for id, l := range e.lanes {
		if limited(id.state) {
			l.wakeAll()
		}
	}
}

// Extend implements queue.Queue.
func (e *Engine) Extend(_ context.Context, tokens []queue.Token, d time.Duration) []error {
	errs := make([]error, len(tokens))
	e.mu.Lock()
	defer e.mu.Unlock()
	d = min(d, queue.MaxLease)
	for i, t := range tokens {
		if e.closed {
			errs[i] = queue.ErrUnavailable
			continue
		}
		if d <= 0 {
			errs[i] = fmt.Errorf("%w: extension of %v", queue.ErrInvalid, d)
			continue
		}
		l, err := e.living(t)
		if err != nil {
			errs[i] = err
			continue
		}
		l.until = e.o.Now().Add(d)
		heap.Push(&e.leases.ends, timed{at: l.until, token: t})
	}
	e.wakeHousekeeper()
	return errs
}

// Release implements queue.Queue.
func (e *Engine) Release(ctx context.Context, t queue.Token, delay time.Duration, lost bool) error {
	if !lost {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.closed {
			return queue.ErrUnavailable
		}
		l, err := e.living(t)
		if err != nil {
			return err
		}
		if l.busy {
			return queue.ErrLeaseLost
		}
		r, err := e.leased(l)
		if err != nil {
			return err
		}
		e.giveBack(l, r, delay)
		return nil
	}
	return e.do(ctx, false, func(o *op) error {
		l, err := e.living(t)
		if err != nil {
			return err
		}
		return e.loseLease(o, l, delay)
	})
}

// giveBack ends a lease; the item is not claimable for delay.
func (e *Engine) giveBack(l *lease, r *rec, delay time.Duration) {
	if delay > 0 {
		at := e.o.Now().Add(delay)
		e.leases.blocks[l.key] = at
		heap.Push(&e.leases.unblock, timed{at: at, key: l.key})
		e.wakeHousekeeper()
	}
	e.endLease(l, r)
}

// loseLease counts a lease that ran out; the last one allowed holds the item.
func (e *Engine) loseLease(o *op, l *lease, delay time.Duration) error {
	old, err := e.leased(l)
	if err != nil {
		e.leases.remove(l)
		return err
	}
	r := old.draft()
	r.LostClaims++
	r.rev = e.revs.Add(1)
	addStep(r, queue.Step{At: o.b.now, Kind: queue.EventClaimLost, Text: l.holder})
	o.event(queue.EventClaimLost, r, "", l.holder)
	if r.LostClaims >= e.o.MaxClaims && r.Hold == nil {
		r.Hold = &queue.Hold{By: "mtad", Reason: "poison", Since: o.b.now}
		addStep(r, queue.Step{At: o.b.now, Kind: queue.EventHeld, Text: "poison"})
		o.tell(r, queue.Event{Kind: queue.EventHeld, Text: "poison", Hold: r.Hold})
	}
	// From here on the token is void, whatever comes of the batch.
	e.leases.remove(l)
	if l.staged {
		o.stage(old, r)
	} else {
		o.set(old, r)
	}
	o.after = append(o.after, func() { e.giveBack(l, r, delay) })
	return nil
}
