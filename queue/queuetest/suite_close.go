package queuetest

import (
	"context"
	"errors"
	"time"

	"mtad/queue"
)

var closeTests = []behaviour{
	{"a closed queue is unavailable", nothing, func(r *rig) {
		id := r.unfiltered().ID
		c := r.claimOne(forScan)
		w := r.open(queue.CreateOptions{}, text, "b@example.net")
		r.must(r.q.Close())
		ctx := r.ctx()
		errs := map[string]error{}
		_, errs["Create"] = r.q.Create(ctx, envelope("b@example.net"), queue.CreateOptions{})
		_, errs["Claim"] = r.q.Claim(ctx, forScan)
		errs["Extend"] = r.q.Extend(ctx, []queue.Token{c.Token}, time.Minute)[0]
		errs["Release"] = r.q.Release(ctx, c.Token, 0, false)
		_, errs["Apply"] = r.q.Apply(ctx, queue.Txn{ID: id, Force: true, Ops: []queue.Op{queue.Attempt{}}})
		_, errs["Upload"] = r.q.Upload(ctx, c.Token)
		_, errs["Open"] = r.q.Open(ctx, queue.OpenSpec{ID: id, Generation: -1})
		_, errs["Get"] = r.q.Get(ctx, id)
		_, errs["History"] = r.q.History(ctx, id)
		_, errs["List"] = r.q.List(ctx, queue.Filter{}, "", 1)
		_, errs["Count"] = r.q.Count(ctx, queue.Filter{})
		_, errs["Shape"] = r.q.Shape(ctx, queue.ShapeSpec{})
		_, errs["Stats"] = r.q.Stats(ctx)
		_, errs["Bulk"] = r.q.Bulk(ctx, queue.Filter{}, queue.Action{Kind: queue.ActionFlush})
		_, errs["Job"] = r.q.Job(ctx, "x")
		_, errs["Watch"] = r.q.Watch(ctx, "")
		_, errs["Commit"] = w.Commit(ctx)
		for call, err := range errs {
			if !errors.Is(err, queue.ErrUnavailable) {
				r.Errorf("%s: %v, want ErrUnavailable", call, err)
			}
		}
		if h := r.q.Health(ctx); h.Ready {
			r.Errorf("health %+v", h)
		}
	}},
	{"a close ends every wait", nothing, func(r *rig) {
		ctx, cancel := context.WithTimeout(r.ctx(), patience)
		defer cancel()
		w := r.stage("b@example.net")
		watch, err := r.q.Watch(ctx, "")
		r.must(err)
		done := make(chan error, 3)
		go func() {
			spec := forDelivery
			spec.Wait = queue.MaxWait
			_, err := r.q.Claim(ctx, spec)
			done <- err
		}()
		go func() {
			_, err := w.Wait(ctx)
			done <- err
		}()
		go func() {
			_, err := watch.Next(ctx)
			done <- err
		}()
		r.must(r.q.Close())
		for range cap(done) {
			r.refused(<-done, queue.ErrUnavailable)
		}
	}},
	{"a close may be repeated", nothing, func(r *rig) {
		r.must(r.q.Close())
		r.q.Close()
	}},
}
