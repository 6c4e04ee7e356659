package queuetest

import (
	"fmt"
	"slices"

	"mtad/queue"
)

var splitTests = []behaviour{
	{"a split makes parts that are claimed alone", nothing, func(r *rig) {
		it := r.commit(queue.CreateOptions{Stage: "scan"}, "a@example.net", "b@example.net", "c@example.net")
		c := r.claimOne(forScan)
		out := r.change(c.Token,
			queue.Split{Parts: []queue.Part{
				{Recipients: []int{2}, Ops: []queue.Op{queue.Move{To: queue.Unfiltered, Stage: "second"}}},
				{Recipients: []int{0}, Ops: []queue.Op{queue.Finish{Disposition: queue.Discarded}}},
			}},
			queue.Move{To: queue.Incoming})
		if len(out) != 3 || out[0].ID != it.ID || !slices.Equal(paths(out[0]), []string{"b@example.net"}) || out[0].State != queue.Incoming {
			r.Fatalf("left %+v", out)
		}
		second := forScan
		second.Stage = "second"
		if p := r.claimOne(second).Item; p.ID.Message() != it.ID || p.ID.Part() == 0 || !slices.Equal(paths(p), []string{"c@example.net"}) {
			r.Errorf("part %+v", p)
		}
		if h := r.history(it.ID); len(h) != 3 {
			r.Errorf("%d parts in history, want 3", len(h))
		}
	}},
	{"parts share the content", nothing, func(r *rig) {
		it := r.commit(queue.CreateOptions{Stage: "scan"}, "a@example.net", "b@example.net")
		out := r.judge(queue.Split{Parts: []queue.Part{{Recipients: []int{1}, Ops: []queue.Op{queue.Move{To: queue.Incoming}}}}})
		for _, p := range out {
			r.reads(queue.OpenSpec{ID: p.ID, Generation: -1}, text)
		}
		r.operate(it.ID, queue.Finish{Disposition: queue.Deleted})
		r.reads(queue.OpenSpec{ID: out[1].ID, Generation: -1}, text)
	}},
	{"a part's edit is not seen by the rest", nothing, func(r *rig) {
		r.commit(queue.CreateOptions{Stage: "scan"}, "a@example.net", "b@example.net")
		out := r.judge(queue.Split{Parts: []queue.Part{{Recipients: []int{1}, Ops: []queue.Op{
			queue.SetContent{Pieces: []queue.Piece{{Inline: []byte("other")}}}, queue.Move{To: queue.Incoming},
		}}}})
		r.reads(queue.OpenSpec{ID: out[0].ID, Generation: -1}, text)
		r.reads(queue.OpenSpec{ID: out[1].ID, Generation: -1}, "other")
	}},
	{"the ops of a part count its own recipients", nothing, func(r *rig) {
		r.commit(queue.CreateOptions{Stage: "scan"}, "a@example.net", "b@example.net", "c@example.net")
		failed := func(i int) queue.Op {
			return queue.UpdateRecipients{Updates: []queue.RecipientUpdate{{Index: i, Status: queue.Failed}}}
		}
		out := r.judge(queue.Split{Parts: []queue.Part{{Recipients: []int{2, 0}, Ops: []queue.Op{failed(0), queue.Move{To: queue.Incoming}}}}}, failed(0))
		for i, want := range []string{"b@example.net", "c@example.net"} {
			for _, rc := range out[i].Envelope.Recipients {
				if (rc.Status == queue.Failed) != (rc.Path == want) {
					r.Errorf("%s of %s is %s", rc.Path, out[i].ID, rc.Status)
				}
			}
		}
	}},
	{"a part without a move stands where the item stood", nothing, func(r *rig) {
		r.commit(queue.CreateOptions{Stage: "scan"}, "a@example.net", "b@example.net")
		c := r.claimOne(forScan)
		out := r.change(c.Token, queue.Split{Parts: []queue.Part{{Recipients: []int{1}}}})
		if p := r.claimOne(forScan).Item; p.ID != out[1].ID {
			r.Errorf("claimed %s, want the part %s", p.ID, out[1].ID)
		}
		r.change(c.Token, queue.Move{To: queue.Incoming})
	}},
	{"a split that is wrong is refused", nothing, func(r *rig) {
		r.commit(queue.CreateOptions{Stage: "scan"}, "a@example.net", "b@example.net")
		c := r.claimOne(forScan)
		for _, parts := range [][]queue.Part{
			{{Recipients: []int{2}}}, {{Recipients: []int{-1}}}, {{Recipients: []int{0, 0}}}, {{Recipients: []int{0}}, {Recipients: []int{0}}},
			{{Recipients: []int{0, 1}}}, {{Recipients: []int{0}}, {Recipients: []int{1}}},
			{{Recipients: []int{1}, Ops: []queue.Op{queue.Split{Parts: []queue.Part{{Recipients: []int{0}}}}}}},
		} {
			if err := r.tries(c.Token, queue.Split{Parts: parts}); err == nil {
				r.Errorf("took %+v", parts)
			} else {
				r.refused(err, queue.ErrInvalid)
			}
		}
		if n := len(r.list(queue.Filter{})); n != 1 {
			r.Errorf("%d items, want 1", n)
		}
	}},
	{"on entering incoming an item is split by route", nothing, func(r *rig) {
		it := r.commit(queue.CreateOptions{Stage: "scan"}, "a@example.net", "b@example.com", "c@example.net", "d@example.com", "e@example.edu")
		r.judge(queue.UpdateRecipients{Updates: []queue.RecipientUpdate{{Index: 4, Status: queue.Removed}}})
		claims := r.claim(forDelivery)
		if len(claims) != 2 {
			r.Fatalf("%d items, want 2", len(claims))
		}
		for _, c := range claims {
			hops := map[string]bool{}
			for _, rc := range c.Item.Envelope.Recipients {
				if rc.Status == queue.Pending {
					hops[rc.NextHop] = true
				}
			}
			if len(hops) != 1 || c.Item.ID.Message() != it.ID {
				r.Errorf("%s goes to %v", c.Item.ID, hops)
			}
		}
		var all []string
		for _, p := range r.history(it.ID) {
			all = append(all, paths(p)...)
		}
		slices.Sort(all)
		if len(all) != 5 || len(slices.Compact(all)) != 5 {
			r.Errorf("recipients after the split: %v", all)
		}
	}},
	{"one next hop over two transports is two routes", nothing, func(r *rig) {
		e := envelope("a@example.net", "b@example.net")
		e.Recipients[1].Transport = "lmtp"
		w, err := r.q.Create(r.ctx(), e, queue.CreateOptions{})
		r.must(err)
		_, err = w.Commit(r.ctx())
		r.must(err)
		if n := len(r.claim(forDelivery)); n != 2 {
			r.Errorf("%d items, want 2", n)
		}
	}},
	{"part numbers are not used again", nothing, func(r *rig) {
		it := r.commit(queue.CreateOptions{}, "a@a.example", "b@b.example")
		part := r.history(it.ID)[1].ID
		r.operate(part, queue.Finish{Disposition: queue.Deleted})
		r.operate(it.ID, queue.AddRecipients{Recipients: []queue.Recipient{recipient("c@a.example")}})
		out := r.operate(it.ID, queue.Split{Parts: []queue.Part{{Recipients: []int{1}}}})
		if len(out) != 2 || out[1].ID == part {
			r.Errorf("parts %v, want none of %s", ids(out), part)
		}
	}},
	{"a recipient added past the filters goes its own way", nothing, func(r *rig) {
		for _, id := range []queue.ID{r.deferred().ID, r.commit(queue.CreateOptions{}, "a@a.example").ID} {
			state := r.get(id).State
			out := r.operate(id, queue.AddRecipients{Recipients: []queue.Recipient{recipient("c@c.example"), recipient("d@c.example")}})
			if len(out) != 2 || len(out[0].Envelope.Recipients) != 1 || !slices.Equal(paths(out[1]), []string{"c@c.example", "d@c.example"}) || out[1].State != state {
				r.Errorf("from %s: %+v", state, out)
			}
		}
	}},
	{"many routes make many parts", nothing, func(r *rig) {
		var to []string
		for i := range 300 {
			to = append(to, fmt.Sprintf("x@hop%d.example", i))
		}
		it := r.commit(queue.CreateOptions{}, to...)
		if n := len(r.history(it.ID)); n != 300 {
			r.Errorf("%d parts, want 300", n)
		}
	}},
}
