package queuetest

import (
	"fmt"
	"slices"
	"time"

	"mtad/queue"
)

var countTests = []behaviour{
	{"a tally has messages, recipients and octets", nothing, func(r *rig) {
		for range 3 {
			r.commit(queue.CreateOptions{Stage: "scan"}, "a@example.net", "b@example.com")
		}
		n, err := r.q.Count(r.ctx(), queue.Filter{})
		r.must(err)
		if n.Messages != 3 || n.Recipients != 6 || n.Bytes != int64(3*len(text)) {
			r.Errorf("tally %+v", n)
		}
	}},
	{"stats follow every transition", nothing, statsFollow},
	{"stats count stages, leases and holds", nothing, func(r *rig) {
		r.unfiltered()
		r.unfiltered()
		r.commit(queue.CreateOptions{Stage: "other", Hold: &queue.Hold{By: "operator:ann"}}, "b@example.net")
		spec := forScan
		spec.Max = 1
		r.claimOne(spec)
		st := r.stats()
		if len(st.Stages) != 2 || st.Stages[0].Stage != "other" || st.Stages[1].Messages != 2 || st.Stages[1].Leased != 1 || st.Held != 1 {
			r.Errorf("stats %+v", st)
		}
		if u := st.States[0]; u.Messages != 3 || u.Leased != 1 || u.Bytes != int64(3*len(text)) || u.Oldest.IsZero() {
			r.Errorf("unfiltered %+v", u)
		}
	}},
	{"a shape counts by state and next hop", nothing, func(r *rig) {
		for range 3 {
			r.commit(queue.CreateOptions{}, "x@a.example")
		}
		r.commit(queue.CreateOptions{}, "x@b.example")
		r.commit(queue.CreateOptions{Stage: "scan"}, "x@a.example", "y@a.example", "z@b.example")
		sh, err := r.q.Shape(r.ctx(), queue.ShapeSpec{})
		r.must(err)
		got := map[string]int64{}
		for _, row := range sh.Rows {
			got[row.State.String()+" "+row.NextHop] = row.Total
			if len(row.Counts) != len(sh.Ages)+1 {
				r.Errorf("%d counts for %d ages", len(row.Counts), len(sh.Ages))
			}
		}
		want := map[string]int64{"incoming a.example": 3, "incoming b.example": 1, "unfiltered a.example": 1, "unfiltered b.example": 1}
		if fmt.Sprint(got) != fmt.Sprint(want) || len(sh.Rows) > 0 && sh.Rows[0].Total != 3 {
			r.Errorf("shape %v, want %v, most first", got, want)
		}
	}},
	{"a shape of one state has no other", nothing, func(r *rig) {
		r.incoming()
		r.unfiltered()
		sh, err := r.q.Shape(r.ctx(), queue.ShapeSpec{States: []queue.State{queue.Unfiltered}})
		r.must(err)
		if len(sh.Rows) != 1 || sh.Rows[0].State != queue.Unfiltered {
			r.Errorf("rows %+v", sh.Rows)
		}
	}},
	{"a shape sorts by age", advance, func(r *rig) {
		r.incoming()
		r.Advance(40 * time.Minute)
		r.incoming()
		r.Advance(4 * time.Minute)
		sh, err := r.q.Shape(r.ctx(), queue.ShapeSpec{Ages: []time.Duration{20 * time.Minute, 60 * time.Minute}})
		r.must(err)
		if len(sh.Rows) != 1 || !slices.Equal(sh.Rows[0].Counts, []int64{1, 1, 0}) {
			r.Errorf("rows %+v, want 1 1 0", sh.Rows)
		}
	}},
	{"a shape forgets what is gone", nothing, func(r *rig) {
		r.operate(r.incoming().ID, queue.Finish{Disposition: queue.Deleted})
		sh, err := r.q.Shape(r.ctx(), queue.ShapeSpec{})
		r.must(err)
		if len(sh.Rows) != 0 {
			r.Errorf("rows %+v", sh.Rows)
		}
	}},
}

func statsFollow(r *rig) {
	want := func(counts ...int64) {
		r.Helper()
		var got []int64
		for i, s := range r.stats().States {
			if s.State != queue.States[i] {
				r.Errorf("state %d is %s", i, s.State)
			}
			got = append(got, s.Messages)
		}
		if !slices.Equal(got, counts) {
			r.Errorf("unfiltered, incoming, active, deferred: %v, want %v", got, counts)
		}
	}
	want(0, 0, 0, 0)
	r.unfiltered()
	want(1, 0, 0, 0)
	r.judge()
	want(0, 1, 0, 0)
	c := r.claimOne(forDelivery)
	want(0, 0, 1, 0)
	r.change(c.Token, queue.Move{To: queue.Deferred})
	want(0, 0, 0, 1)
	c = r.claimOne(forRetry)
	want(0, 0, 1, 0)
	r.change(c.Token, relayed(1)...)
	want(0, 0, 0, 0)
	if n := r.stats().History; n != 1 {
		r.Errorf("history of %d, want 1", n)
	}
}
