package queuetest

import (
	"context"
	"time"

	"mtad/queue"
)

// wakes runs a claim that has to wait, then cause, and wants an item. The claim
// may start late: then it finds the item at once, which is right as well.
func (r *rig) wakes(spec queue.ClaimSpec, cause func()) {
	r.Helper()
	spec.Wait = queue.MaxWait
	spec.Max = 1
	ctx, cancel := context.WithTimeout(r.ctx(), patience)
	defer cancel()
	type result struct {
		claims []queue.Claim
		err    error
	}
	done := make(chan result, 1)
	go func() {
		claims, err := r.q.Claim(ctx, spec)
		done <- result{claims, err}
	}()
	cause()
	if got := <-done; got.err != nil || len(got.claims) != 1 {
		r.Errorf("woken with %d claims, %v", len(got.claims), got.err)
	}
}

var wakeTests = []behaviour{
	{"a waiting filter is woken by the commit", nothing, func(r *rig) { r.wakes(forScan, func() { r.unfiltered() }) }},
	{"a waiting filter is woken by the staging", nothing, func(r *rig) {
		r.wakes(forScan, func() { r.stage("b@example.net") })
	}},
	{"the waiting queue manager is woken by the commit", nothing, func(r *rig) { r.wakes(forDelivery, func() { r.incoming() }) }},
	{"the waiting queue manager is woken by the verdict", nothing, func(r *rig) {
		r.unfiltered()
		r.wakes(forDelivery, func() { r.judge() })
	}},
	{"the waiting queue manager is woken by the commit of a judged message", nothing, func(r *rig) {
		w := r.stage("b@example.net")
		r.judge()
		r.wakes(forDelivery, func() {
			_, err := w.Commit(r.ctx())
			r.must(err)
		})
	}},
	{"a waiting claim is woken by a release", nothing, func(r *rig) {
		r.unfiltered()
		c := r.claimOne(forScan)
		r.wakes(forScan, func() { r.must(r.q.Release(r.ctx(), c.Token, 0, false)) })
	}},
	{"a waiting claim is woken by the end of a hold", nothing, func(r *rig) {
		id := r.commit(queue.CreateOptions{Hold: &queue.Hold{By: "operator:ann"}}, "b@example.net").ID
		r.wakes(forDelivery, func() { r.operate(id, queue.ReleaseHold{}) })
	}},
	{"a waiting claim is woken by a flush", nothing, func(r *rig) {
		id := r.commit(queue.CreateOptions{NextAt: r.now().Add(time.Hour)}, "b@example.net").ID
		r.wakes(forDelivery, func() { r.operate(id, queue.SetNextAt{}) })
	}},
	{"a waiting claim is woken by the end of a lease", advance, func(r *rig) {
		r.unfiltered()
		r.claimOne(forScan)
		r.wakes(forScan, func() { r.Advance(time.Minute) })
	}},
	{"a waiting claim is woken when an item is due", advance, func(r *rig) {
		r.commit(queue.CreateOptions{NextAt: r.now().Add(30 * time.Second)}, "b@example.net")
		r.wakes(forDelivery, func() { r.Advance(30 * time.Second) })
	}},
}
