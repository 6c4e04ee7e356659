package queuetest

import (
	"errors"
	"slices"
	"time"

	"mtad/queue"
)

var readTests = []behaviour{
	{"an unknown ID is not found", nothing, func(r *rig) {
		id := queue.IDOf(r.now(), 200, 77)
		r.absent(id)
		_, err := r.q.History(r.ctx(), id)
		r.refused(err, queue.ErrNotFound)
		_, err = r.q.Open(r.ctx(), queue.OpenSpec{ID: id, Generation: -1})
		r.refused(err, queue.ErrNotFound)
		_, err = r.q.Job(r.ctx(), "no-such-job")
		r.refused(err, queue.ErrNotFound)
	}},
	{"history has live and finished parts, oldest first", nothing, func(r *rig) {
		it := r.commit(queue.CreateOptions{}, "a@a.example", "b@b.example", "c@c.example")
		r.operate(it.ID, queue.Finish{Disposition: queue.Deleted})
		h := r.history(it.ID)
		if len(h) != 3 || h[0].Outcome == nil || h[1].Outcome != nil || !slices.IsSortedFunc(h, func(a, b queue.Item) int { return compareID(a.ID, b.ID) }) {
			r.Errorf("history %+v", h)
		}
	}},
	{"a record is dropped by age", advance, func(r *rig) {
		id := r.incoming().ID
		r.operate(id, queue.Finish{Disposition: queue.Deleted})
		r.history(id)
		r.Advance(10_000 * time.Hour)
		r.eventually("record dropped", func() bool {
			_, err := r.q.History(r.ctx(), id)
			return errors.Is(err, queue.ErrNotFound)
		})
	}},
	{"what was written is read at once", nothing, func(r *rig) {
		id := r.incoming().ID
		for p := range int8(50) {
			r.operate(id, queue.SetPriority{Priority: p})
			if got := r.get(id).Priority; got != p {
				r.Fatalf("priority %d, want %d", got, p)
			}
		}
	}},
	{"a healthy queue is ready and writable", nothing, func(r *rig) {
		if h := r.q.Health(r.ctx()); !h.Ready || !h.Writable {
			r.Errorf("health %+v", h)
		}
	}},
}
