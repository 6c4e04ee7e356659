package queuetest

import (
	"fmt"
	"slices"
	"time"

	"mtad/queue"
)

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
	"recipient=*.example", "next-hop=example.net", "next-hop=*.example", "stage=scan", "chain=in", "held", "held=no", "quarantined", "quarantined=no", "hold-by=operator:*", `reason="looks odd"`,
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
