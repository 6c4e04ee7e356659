package queuetest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"mtad/queue"
)

var claimTests = []behaviour{
	{"an empty queue has nothing to claim", nothing, func(r *rig) { r.claimNone(forScan); r.claimNone(forDelivery); r.claimNone(forRetry) }},
	{"a claim that makes no sense is refused", nothing, func(r *rig) {
		for name, change := range map[string]func(*queue.ClaimSpec){
			"no state":     func(s *queue.ClaimSpec) { s.From = 0 },
			"active":       func(s *queue.ClaimSpec) { s.From = queue.Active },
			"no stage":     func(s *queue.ClaimSpec) { s.Stage = "" },
			"no items":     func(s *queue.ClaimSpec) { s.Max = 0 },
			"no lease":     func(s *queue.ClaimSpec) { s.Lease = 0 },
			"lease behind": func(s *queue.ClaimSpec) { s.Lease = -time.Second },
		} {
			spec := forScan
			change(&spec)
			if _, err := r.q.Claim(r.ctx(), spec); err == nil {
				r.Errorf("%s: taken", name)
			}
		}
	}},
	{"an item has one holder at a time", nothing, func(r *rig) {
		r.unfiltered()
		r.claimOne(forScan)
		r.claimNone(forScan)
	}},
	{"many claimers never get the same item", nothing, manyClaimers},
	{"an item claimed for delivery is active", nothing, func(r *rig) {
		id := r.incoming().ID
		c := r.claimOne(forDelivery)
		if c.Item.State != queue.Active || c.For <= 0 {
			r.Errorf("claimed %s for %v", c.Item.State, c.For)
		}
		it := r.get(id)
		if it.State != queue.Active || it.Lease == nil || it.Lease.Holder != "qmgr" {
			r.Errorf("state %s, lease %+v", it.State, it.Lease)
		}
	}},
	{"an item claimed by a filter stays unfiltered", nothing, func(r *rig) {
		id := r.unfiltered().ID
		if c := r.claimOne(forScan); c.Item.State != queue.Unfiltered {
			r.Errorf("claimed %s", c.Item.State)
		}
		if it := r.get(id); it.State != queue.Unfiltered || it.Lease == nil || it.Lease.Stage != "scan" {
			r.Errorf("state %s, lease %+v", it.State, it.Lease)
		}
	}},
	{"a filter gets its own stage only", nothing, func(r *rig) {
		r.unfiltered()
		other := forScan
		other.Stage = "other"
		r.claimNone(other)
		r.claimNone(forDelivery)
	}},
	{"an unjudged message is not delivered", nothing, func(r *rig) {
		id := r.unfiltered().ID
		r.claimNone(forDelivery)
		r.claimNone(forRetry)
		r.judge()
		if c := r.claimOne(forDelivery); c.Item.ID != id {
			r.Errorf("claimed %s", c.Item.ID)
		}
	}},
	{"incoming and deferred are claimed apart", nothing, func(r *rig) {
		d := r.deferred().ID
		i := r.incoming().ID
		if c := r.claimOne(forDelivery); c.Item.ID != i {
			r.Errorf("from incoming: %s", c.Item.ID)
		}
		if c := r.claimOne(forRetry); c.Item.ID != d {
			r.Errorf("from deferred: %s", c.Item.ID)
		}
	}},
	{"no more than Max items come", nothing, func(r *rig) {
		for range 5 {
			r.incoming()
		}
		spec := forDelivery
		spec.Max = 3
		if n := len(r.claim(spec)); n != 3 {
			r.Errorf("claimed %d, want 3", n)
		}
		if n := len(r.claim(spec)); n != 2 {
			r.Errorf("then claimed %d, want 2", n)
		}
	}},
	{"no more than MaxBytes come, but one item always", nothing, func(r *rig) {
		for range 4 {
			_, err := r.open(queue.CreateOptions{}, octets(1000), "b@example.net").Commit(r.ctx())
			r.must(err)
		}
		spec := forDelivery
		spec.MaxBytes = 2500
		if n := len(r.claim(spec)); n != 2 {
			r.Errorf("claimed %d, want 2", n)
		}
		spec.MaxBytes = 1
		if n := len(r.claim(spec)); n != 1 {
			r.Errorf("claimed %d, want 1", n)
		}
	}},
	{"every token is new", nothing, func(r *rig) {
		r.unfiltered()
		seen := map[queue.Token]bool{}
		for range 20 {
			c := r.claimOne(forScan)
			if seen[c.Token] {
				r.Fatalf("token %q came twice", c.Token)
			}
			seen[c.Token] = true
			r.must(r.q.Release(r.ctx(), c.Token, 0, false))
		}
	}},
	{"a claim carries every recipient", nothing, func(r *rig) {
		var to []string
		for i := range 3 * queue.MaxListRecipients {
			to = append(to, fmt.Sprintf("r%d@example.net", i))
		}
		r.commit(queue.CreateOptions{}, to...)
		if it := r.claimOne(forDelivery).Item; len(it.Envelope.Recipients) != len(to) || it.RecipientCount != len(to) {
			r.Errorf("%d recipients, count %d", len(it.Envelope.Recipients), it.RecipientCount)
		}
	}},
	{"a claim ends with its context", nothing, func(r *rig) {
		ctx, cancel := context.WithCancel(r.ctx())
		spec := forScan
		spec.Wait = queue.MaxWait
		done := make(chan int, 1)
		go func() {
			claims, _ := r.q.Claim(ctx, spec)
			done <- len(claims)
		}()
		cancel()
		if n := <-done; n != 0 {
			r.Errorf("%d claims", n)
		}
		r.unfiltered()
		r.claimOne(forScan) // and the one that gave up has taken nothing
	}},
}

func manyClaimers(r *rig) {
	const messages = 60
	for range messages {
		r.unfiltered()
	}
	spec := forScan
	spec.Max = 7
	var mu sync.Mutex
	seen := map[queue.ID]int{}
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			for {
				claims, err := r.q.Claim(r.ctx(), spec)
				if err != nil || len(claims) == 0 {
					return
				}
				mu.Lock()
				for _, c := range claims {
					seen[c.Item.ID]++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != messages {
		r.Errorf("%d messages claimed, want %d", len(seen), messages)
	}
	for id, n := range seen {
		if n != 1 {
			r.Errorf("%s claimed %d times", id, n)
		}
	}
}
