package queuetest

import (
	"context"
	"errors"
	"fmt"
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

// population is a bit of everything, for listings.
func (r *rig) population() {
	for i := range 6 {
		r.commit(queue.CreateOptions{Chain: "in", Stage: "scan"}, fmt.Sprintf("u%d@example.net", i))
	}
	_, err := r.open(queue.CreateOptions{Origin: queue.OriginHTTP}, octets(5000), "big@example.com").Commit(r.ctx())
	r.must(err)
	parent := r.commit(queue.CreateOptions{}, "x@a.example", "y@b.example").ID
	r.commit(queue.CreateOptions{Origin: queue.OriginDSN, Parent: parent}, "author@example.org")
	r.commit(queue.CreateOptions{Hold: &queue.Hold{By: "operator:ann", Reason: "looks odd"}}, "held@example.net")
	w, err := r.q.Create(r.ctx(), queue.Envelope{Recipients: []queue.Recipient{recipient("null@example.net")}}, queue.CreateOptions{})
	r.must(err)
	_, err = w.Commit(r.ctx())
	r.must(err)
	spec := forDelivery
	spec.Max = 2
	for _, c := range r.claim(spec) {
		r.change(c.Token, queue.Move{To: queue.Deferred, NextAt: r.now().Add(time.Hour)})
	}
	spec.Max = 1
	r.claimOne(spec)
}

var expressions = []string{
	"", "state=unfiltered", "state=incoming,deferred", "state=active", "sender=<>", "sender=*@example.org", "sender=AUTHOR@*", "recipient=u1@example.net",
	"recipient=*.example", "next-hop=example.net", "next-hop=*.example", "stage=scan", "chain=in", "held", "held=no", "hold-by=operator:*", `reason="looks odd"`,
	"origin=dsn", "origin=http", "size>1K", "size<1K", "age<1h", "age>1h", "state=unfiltered recipient=u2@*", "sender=nobody@nowhere",
}

var listTests = []behaviour{
	{"a listing is what the filter selects, oldest first", nothing, func(r *rig) {
		r.population()
		all := r.list(queue.Filter{})
		for _, text := range expressions {
			f, err := queue.ParseFilter(text)
			r.must(err)
			var want []queue.ID
			for _, it := range all {
				if f.Match(&it, r.now()) {
					want = append(want, it.ID)
				}
			}
			if got := ids(r.list(f)); !slices.Equal(got, want) {
				r.Errorf("%q lists %v, want %v", text, got, want)
			}
			n, err := r.q.Count(r.ctx(), f)
			r.must(err)
			if n.Messages != int64(len(want)) {
				r.Errorf("%q counts %d, want %d", text, n.Messages, len(want))
			}
		}
		if !slices.IsSortedFunc(all, func(a, b queue.Item) int { return compareID(a.ID, b.ID) }) {
			r.Errorf("not oldest first: %v", ids(all))
		}
	}},
	{"a listing by ID has all parts of a message", nothing, func(r *rig) {
		it := r.commit(queue.CreateOptions{}, "x@a.example", "y@b.example")
		r.incoming()
		if got := r.list(queue.Filter{IDs: []queue.ID{it.ID}}); len(got) != 2 {
			r.Errorf("listed %v, want 2 parts", ids(got))
		}
		if got := r.list(queue.Filter{IDs: []queue.ID{it.ID + ".1"}}); len(got) != 1 {
			r.Errorf("listed %v, want the part", ids(got))
		}
	}},
	{"pages are one snapshot", nothing, pagesAreOneSnapshot},
	{"a page has at most n items", nothing, func(r *rig) {
		for range 105 {
			r.incoming()
		}
		for n, want := range map[int]int{0: 100, -1: 100, 1: 1, 104: 104, 105: 105, queue.MaxPage + 1: 105} {
			page, err := r.q.List(r.ctx(), queue.Filter{}, "", n)
			r.must(err)
			if len(page.Items) != want || (page.Next == "") != (want == 105) {
				r.Errorf("n=%d: %d items, next %q; want %d", n, len(page.Items), page.Next, want)
			}
		}
	}},
	{"a page of a message with many recipients is cut", nothing, func(r *rig) {
		var to []string
		for i := range 100 {
			to = append(to, fmt.Sprintf("r%d@example.net", i))
		}
		id := r.commit(queue.CreateOptions{}, to...).ID
		it := r.list(queue.Filter{})[0]
		if len(it.Envelope.Recipients) != queue.MaxListRecipients || it.RecipientCount != 100 {
			r.Errorf("%d recipients listed of %d", len(it.Envelope.Recipients), it.RecipientCount)
		}
		if n := len(r.list(queue.Filter{Recipient: "r99@example.net"})); n != 1 || len(r.get(id).Envelope.Recipients) != 100 {
			r.Errorf("a recipient that is not shown selects %d", n)
		}
	}},
	{"a cursor that never was is refused", nothing, func(r *rig) {
		for _, c := range []queue.Cursor{"x", "99999.0", "\x00", queue.Cursor(octets(3000))} {
			_, err := r.q.List(r.ctx(), queue.Filter{}, c, 10)
			r.refused(err, queue.ErrExpired, queue.ErrInvalid)
		}
	}},
}

func pagesAreOneSnapshot(r *rig) {
	var want []queue.ID
	for range 25 {
		want = append(want, r.incoming().ID)
	}
	var got []queue.ID
	page, err := r.q.List(r.ctx(), queue.Filter{}, "", 10)
	r.must(err)
	for {
		got = append(got, ids(page.Items)...)
		// What happens between two pages shows in neither.
		r.incoming()
		r.operate(want[len(got)-1], queue.Finish{Disposition: queue.Deleted})
		r.operate(want[max(24-len(got), 0)], queue.SetPriority{Priority: 5})
		if page.Next == "" {
			break
		}
		page, err = r.q.List(r.ctx(), queue.Filter{}, page.Next, 10)
		r.must(err)
	}
	slices.SortFunc(want, compareID)
	if !slices.Equal(got, want) {
		r.Errorf("pages have\n%v, want\n%v", got, want)
	}
}

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
