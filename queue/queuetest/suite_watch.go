package queuetest

import (
	"context"
	"slices"
	"time"

	"mtad/queue"
)

// next reads one event that has to come.
func (r *rig) next(s queue.EventStream) queue.Event {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.ctx(), patience)
	defer cancel()
	e, err := s.Next(ctx)
	r.must(err)
	return e
}

func (r *rig) watch(after queue.Cursor) queue.EventStream {
	r.Helper()
	s, err := r.q.Watch(r.ctx(), after)
	r.must(err)
	r.Cleanup(func() { s.Close() })
	return s
}

// until reads events up to the first of a kind.
func (r *rig) until(s queue.EventStream, kind queue.EventKind) (all []queue.Event) {
	r.Helper()
	for {
		e := r.next(s)
		all = append(all, e)
		if e.Kind == kind {
			return all
		}
	}
}

var watchTests = []behaviour{
	{"events tell a message's life in order", nothing, func(r *rig) {
		s := r.watch("")
		id := r.unfiltered().ID
		r.judge(queue.AddVerdict{Verdict: queue.Verdict{Filter: "scan", Disposition: "accept"}})
		r.change(r.claimOne(forDelivery).Token, relayed(1)...)
		var kinds []queue.EventKind
		for _, e := range r.until(s, queue.EventFinished) {
			if e.ID.Message() != id {
				r.Errorf("event of %s", e.ID)
			}
			kinds = append(kinds, e.Kind)
		}
		at := -1
		for _, k := range []queue.EventKind{queue.EventAccepted, queue.EventFiltered, queue.EventDelivered, queue.EventFinished} {
			i := slices.Index(kinds, k)
			if i <= at {
				r.Errorf("events %v: %s is missing or too early", kinds, k)
			}
			at = i
		}
	}},
	{"a waiting watcher is woken", nothing, func(r *rig) {
		s := r.watch("")
		ctx, cancel := context.WithTimeout(r.ctx(), patience)
		defer cancel()
		done := make(chan queue.Event, 1)
		go func() {
			e, _ := s.Next(ctx)
			done <- e
		}()
		id := r.incoming().ID
		if e := <-done; e.ID != id || e.Kind != queue.EventAccepted {
			r.Errorf("event %+v", e)
		}
	}},
	{"a stream is resumed after its cursor", nothing, func(r *rig) {
		s := r.watch("")
		r.incoming()
		first := r.until(s, queue.EventAccepted)
		second := r.incoming().ID
		again := r.watch(first[len(first)-1].Cursor)
		for {
			if e := r.next(again); e.Kind == queue.EventAccepted && e.ID == second {
				return
			}
		}
	}},
	{"a staged message is told of at its commit", nothing, func(r *rig) {
		s := r.watch("")
		w := r.stage("b@example.net")
		r.judge(queue.AddVerdict{Verdict: queue.Verdict{Filter: "scan", Disposition: "accept"}})
		marker := r.incoming().ID
		if e := r.next(s); e.ID != marker {
			r.Fatalf("event %+v of a staged message", e)
		}
		_, err := w.Commit(r.ctx())
		r.must(err)
		for {
			if e := r.next(s); e.ID == w.ID() && e.Kind == queue.EventAccepted {
				return
			}
		}
	}},
	{"hold and release are told", nothing, func(r *rig) {
		id := r.incoming().ID
		s := r.watch("")
		r.operate(id, queue.SetHold{Hold: queue.Hold{By: "operator:ann", Reason: "look"}})
		r.operate(id, queue.ReleaseHold{})
		r.until(s, queue.EventHeld)
		r.until(s, queue.EventReleased)
	}},
	{"a stream since a time begins with what happened then", nothing, func(r *rig) {
		first := r.incoming().ID
		s := r.watch(queue.Since(time.Time{}))
		e := r.next(s)
		if e.ID != first || e.Kind != queue.EventAccepted {
			r.Errorf("first event ever: %+v", e)
		}
		if e := r.next(r.watch(queue.Since(e.At))); e.ID != first {
			r.Errorf("since the time of an event: %+v", e)
		}
		last := r.watch(queue.Since(e.At.Add(time.Hour)))
		ctx, cancel := context.WithCancel(r.ctx())
		cancel()
		_, err := last.Next(ctx)
		r.refused(err, context.Canceled)
	}},
	{"a stream is resumed after every event", nothing, func(r *rig) {
		start := r.watch("")
		r.unfiltered()
		r.judge(queue.AddVerdict{Verdict: queue.Verdict{Filter: "scan", Disposition: "accept"}})
		r.change(r.claimOne(forDelivery).Token, relayed(1)...)
		all := r.until(start, queue.EventFinished)
		for i, e := range all[:len(all)-1] {
			again := r.watch(e.Cursor)
			for _, want := range all[i+1:] {
				if got := r.next(again); got.Cursor != want.Cursor || got.Kind != want.Kind || got.Recipient != want.Recipient {
					r.Errorf("after event %d: %+v, want %+v", i, got, want)
				}
			}
		}
	}},
	{"a watcher gives up with its context", nothing, func(r *rig) {
		ctx, cancel := context.WithCancel(r.ctx())
		s := r.watch("")
		cancel()
		_, err := s.Next(ctx)
		r.refused(err, context.Canceled)
	}},
	{"a cursor that never was is refused", nothing, func(r *rig) {
		for _, c := range []queue.Cursor{"x", "99999999999999999999", "\x00\xff"} {
			_, err := r.q.Watch(r.ctx(), c)
			r.refused(err, queue.ErrExpired, queue.ErrInvalid)
		}
	}},
}
