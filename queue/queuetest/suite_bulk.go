package queuetest

import (
	"slices"
	"time"

	"mtad/queue"
)

// bulk starts a job.
func (r *rig) bulk(f queue.Filter, a queue.Action) queue.JobID {
	r.Helper()
	a.By = "operator:ann"
	id, err := r.q.Bulk(r.ctx(), f, a)
	r.must(err)
	return id
}

// finished waits for the end of a job.
func (r *rig) finished(id queue.JobID) queue.JobStatus {
	r.Helper()
	var st queue.JobStatus
	r.eventually("end of "+string(id), func() bool {
		var err error
		st, err = r.q.Job(r.ctx(), id)
		r.must(err)
		return !st.Finished.IsZero()
	})
	return st
}

var bulkTests = []behaviour{
	{"a job changes what matches and counts it", nothing, func(r *rig) {
		for range 30 {
			r.incoming()
		}
		r.commit(queue.CreateOptions{}, "x@other.example")
		st := r.finished(r.bulk(queue.Filter{NextHop: "example.net"}, queue.Action{Kind: queue.ActionHold, Reason: "look"}))
		if st.Matched != 30 || st.Changed != 30 || st.Failed != 0 || st.Action.Kind != queue.ActionHold {
			r.Errorf("job %+v", st)
		}
		held := true
		for _, it := range r.list(queue.Filter{Held: &held}) {
			if it.Hold.By != "operator:ann" || it.Hold.Reason != "look" {
				r.Errorf("hold %+v", it.Hold)
			}
		}
		if n := len(r.list(queue.Filter{Held: &held})); n != 30 {
			r.Errorf("%d held, want 30", n)
		}
	}},
	{"a release takes the holds away", nothing, func(r *rig) {
		r.commit(queue.CreateOptions{Hold: &queue.Hold{By: "filter:scan", Reason: "quarantine"}}, "b@example.net")
		r.finished(r.bulk(queue.Filter{Reason: "quarantine"}, queue.Action{Kind: queue.ActionRelease}))
		r.claimOne(forDelivery)
	}},
	{"a flush makes everything due", nothing, func(r *rig) {
		r.incoming()
		r.change(r.claimOne(forDelivery).Token, queue.Move{To: queue.Deferred, NextAt: r.now().Add(time.Hour)})
		r.claimNone(forRetry)
		r.finished(r.bulk(queue.Filter{}, queue.Action{Kind: queue.ActionFlush}))
		r.claimOne(forRetry)
	}},
	{"a deletion leaves records", nothing, func(r *rig) {
		id := r.incoming().ID
		r.finished(r.bulk(queue.Filter{}, queue.Action{Kind: queue.ActionDelete}))
		r.absent(id)
		if h := r.history(id); h[0].Outcome == nil || h[0].Outcome.Disposition != queue.Deleted {
			r.Errorf("history %+v", h)
		}
	}},
	{"a bounce fails what is pending, in every state", nothing, func(r *rig) {
		want := []queue.ID{r.unfiltered().ID, r.incoming().ID, r.commit(queue.CreateOptions{Hold: &queue.Hold{By: "filter:scan"}}, "b@example.net").ID}
		r.finished(r.bulk(queue.Filter{}, queue.Action{Kind: queue.ActionBounce, Reason: "550 5.7.0 no"}))
		claims := r.claim(forDelivery)
		got := ids(items(claims))
		slices.SortFunc(got, compareID)
		if !slices.Equal(got, want) {
			r.Errorf("to report on: %v, want %v", got, want)
		}
		for _, c := range claims {
			if rc := c.Item.Envelope.Recipients[0]; rc.Status != queue.Failed || rc.LastReply != "550 5.7.0 no" {
				r.Errorf("recipient %+v", rc)
			}
		}
	}},
	{"a redirect sends to somebody else, once", nothing, func(r *rig) {
		analyst := recipient("analyst@lab.example")
		r.deferred()
		r.commit(queue.CreateOptions{Stage: "scan", Hold: &queue.Hold{By: "filter:scan"}}, "a@example.net", "b@example.com")
		r.commit(queue.CreateOptions{Hold: &queue.Hold{By: "filter:scan"}}, "c@example.net")
		a := queue.Action{Kind: queue.ActionRedirect, By: "operator:ann", Redirect: &queue.Redirect{To: analyst, ReversePath: "postmaster@mx.example"}}
		if st := r.finished(r.bulk(queue.Filter{}, a)); st.Changed != 3 || st.Failed != 0 {
			r.Fatalf("job %+v", st)
		}
		claims := r.claim(forDelivery)
		if len(claims) != 3 {
			r.Fatalf("%d items to deliver, want 3", len(claims))
		}
		for _, c := range claims {
			e := c.Item.Envelope
			last := len(e.Recipients) - 1
			for i, rc := range e.Recipients {
				if (i == last) != (rc.Status == queue.Pending) || i < last && rc.Status != queue.Removed {
					r.Errorf("%s: %s is %s", c.Item.ID, rc.Path, rc.Status)
				}
			}
			if to := e.Recipients[last]; to.Path != analyst.Path || to.NextHop != "lab.example" || e.ReversePath != "postmaster@mx.example" || c.Item.Meta[queue.MetaRedirected] != "<author@example.org>" {
				r.Errorf("to %+v, from %q, meta %v", to, e.ReversePath, c.Item.Meta)
			}
			r.change(c.Token, queue.Move{To: queue.Deferred})
		}
		if st := r.finished(r.bulk(queue.Filter{}, queue.Action{Kind: queue.ActionRedirect, By: "operator:ann", Redirect: &queue.Redirect{To: recipient("c@example.net")}})); st.Changed != 3 {
			r.Errorf("redirected again: %+v", st)
		}
		for _, c := range r.claim(forDelivery) {
			pending := 0
			for _, rc := range c.Item.Envelope.Recipients {
				if rc.Status == queue.Pending {
					pending++
				}
			}
			if pending != 1 || c.Item.Meta[queue.MetaRedirected] != "<author@example.org>" {
				r.Errorf("item %+v", c.Item)
			}
		}
	}},
	{"a redirect of what nobody waits for is refused", nothing, func(r *rig) {
		id := r.incoming().ID
		r.operate(id, queue.FailPending{Reply: "550 5.1.1 no"})
		a := queue.Action{Kind: queue.ActionRedirect, Redirect: &queue.Redirect{To: recipient("analyst@lab.example")}}
		if st := r.finished(r.bulk(queue.Filter{}, a)); st.Changed != 0 || st.Failed != 1 {
			r.Errorf("job %+v", st)
		}
		_, err := r.q.Bulk(r.ctx(), queue.Filter{}, queue.Action{Kind: queue.ActionRedirect})
		r.refused(err, queue.ErrInvalid)
	}},
	{"a requeue sends a named chain through the filters, the rest to incoming", nothing, func(r *rig) {
		scanned := r.unfiltered().ID
		r.judge(queue.SetHold{Hold: queue.Hold{By: "filter:scan", Reason: "quarantine"}})
		other := r.deferred().ID
		r.finished(r.bulk(queue.Filter{}, queue.Action{Kind: queue.ActionRequeue, Stages: map[string]string{"in": "scan"}}))
		if c := r.claimOne(forScan); c.Item.ID != scanned {
			r.Errorf("to be filtered again: %s", c.Item.ID)
		}
		if c := r.claimOne(forDelivery); c.Item.ID != other {
			r.Errorf("in incoming: %s", c.Item.ID)
		}
	}},
	{"a leased item is waited for", nothing, func(r *rig) {
		id := r.incoming().ID
		c := r.claimOne(forDelivery)
		job := r.bulk(queue.Filter{}, queue.Action{Kind: queue.ActionHold})
		if st, err := r.q.Job(r.ctx(), job); err != nil || !st.Finished.IsZero() || st.Changed != 0 {
			r.Fatalf("job %+v, %v", st, err)
		}
		r.change(c.Token, queue.Move{To: queue.Deferred})
		if st := r.finished(job); st.Changed != 1 || r.get(id).Hold == nil {
			r.Errorf("job %+v", st)
		}
	}},
	{"an item that finishes meanwhile is no failure", nothing, func(r *rig) {
		r.incoming()
		c := r.claimOne(forDelivery)
		job := r.bulk(queue.Filter{}, queue.Action{Kind: queue.ActionHold})
		r.change(c.Token, relayed(1)...)
		if st := r.finished(job); st.Changed != 0 || st.Failed != 0 {
			r.Errorf("job %+v", st)
		}
	}},
	{"force breaks leases", nothing, func(r *rig) {
		id := r.incoming().ID
		c := r.claimOne(forDelivery)
		r.finished(r.bulk(queue.Filter{}, queue.Action{Kind: queue.ActionDelete, Force: true}))
		r.absent(id)
		r.refused(r.tries(c.Token, queue.Move{To: queue.Deferred}), queue.ErrLeaseLost)
	}},
	{"what comes later is not touched", nothing, func(r *rig) {
		r.incoming()
		c := r.claimOne(forDelivery)
		job := r.bulk(queue.Filter{}, queue.Action{Kind: queue.ActionHold})
		later := r.incoming().ID
		r.must(r.q.Release(r.ctx(), c.Token, 0, false))
		if st := r.finished(job); st.Matched != 1 || r.get(later).Hold != nil {
			r.Errorf("job %+v", st)
		}
	}},
	{"a job of no known kind is refused", nothing, func(r *rig) {
		_, err := r.q.Bulk(r.ctx(), queue.Filter{}, queue.Action{Kind: "explode"})
		r.refused(err, queue.ErrInvalid)
	}},
}
