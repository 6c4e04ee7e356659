package queuetest

import (
	"slices"

	"mtad/queue"
)

var fairnessTests = []behaviour{
	{"a backlog keeps no other next hop waiting", nothing, func(r *rig) {
		for range 200 {
			r.commit(queue.CreateOptions{}, "a@big.example")
		}
		small := r.commit(queue.CreateOptions{}, "a@small.example").ID
		spec := forDelivery
		spec.Max = 10
		var got []queue.ID
		for range 2 {
			got = append(got, ids(items(r.claim(spec)))...)
		}
		if !slices.Contains(got, small) {
			r.Errorf("small.example is not among the first %d claimed", len(got))
		}
	}},
	{"single claims take turns between next hops", nothing, func(r *rig) {
		for range 30 {
			r.commit(queue.CreateOptions{}, "a@big.example")
		}
		small := r.commit(queue.CreateOptions{}, "a@small.example").ID
		spec := forDelivery
		spec.Max = 1
		var got []queue.ID
		for range 4 {
			got = append(got, r.claimOne(spec).Item.ID)
		}
		if !slices.Contains(got, small) {
			r.Error("small.example had no turn in 4 claims")
		}
	}},
	{"deferred backlogs are fair as well", nothing, func(r *rig) {
		for range 50 {
			r.commit(queue.CreateOptions{}, "a@big.example")
		}
		small := r.commit(queue.CreateOptions{}, "a@small.example").ID
		for _, c := range r.claim(forDelivery) {
			r.change(c.Token, queue.Move{To: queue.Deferred})
		}
		spec := forRetry
		spec.Max = 5
		got := append(ids(items(r.claim(spec))), ids(items(r.claim(spec)))...)
		if !slices.Contains(got, small) {
			r.Error("small.example had no turn in 10 items")
		}
	}},
	{"higher priority goes first", nothing, func(r *rig) {
		for _, p := range []int8{0, -5, 7, 3} {
			r.commit(queue.CreateOptions{Priority: p}, "b@example.net")
			r.commit(queue.CreateOptions{Priority: p, Stage: "scan"}, "b@example.net")
		}
		for _, spec := range []queue.ClaimSpec{forDelivery, forScan} {
			spec.Max = 1
			var got []int8
			for range 4 {
				got = append(got, r.claimOne(spec).Item.Priority)
			}
			if !slices.Equal(got, []int8{7, 3, 0, -5}) {
				r.Errorf("from %s by priority: %v", spec.From, got)
			}
		}
	}},
	{"excluded next hops are passed over", nothing, func(r *rig) {
		r.commit(queue.CreateOptions{}, "a@dead.example")
		alive := r.commit(queue.CreateOptions{}, "a@alive.example").ID
		spec := forDelivery
		spec.NotNextHops = map[string]bool{"dead.example": true}
		if c := r.claimOne(spec); c.Item.ID != alive {
			r.Errorf("claimed %s", c.Item.ID)
		}
	}},
	{"items of one next hop are bounded", nothing, func(r *rig) {
		for range 10 {
			for _, hop := range []string{"a", "b", "c"} {
				r.commit(queue.CreateOptions{}, "x@"+hop)
			}
		}
		spec := forDelivery
		spec.PerNextHop, spec.PerNextHopMax = 2, map[string]int{"b": 5}
		got := map[string]int{}
		for _, c := range r.claim(spec) {
			got[c.Item.Envelope.Recipients[0].NextHop]++
		}
		if got["a"] != 2 || got["b"] != 5 || got["c"] != 2 {
			r.Errorf("claimed %v, want a:2 b:5 c:2", got)
		}
	}},
}
