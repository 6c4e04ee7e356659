package queuetest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sort"
	"time"

	"mtad/queue"
)

// Shape counts items by next hop and age.
func (m *Model) Shape(ctx context.Context, s queue.ShapeSpec) (queue.Shape, error) {
	now, err := m.enter()
	defer m.leave()
	if err != nil {
		return queue.Shape{}, err
	}
	ages := slices.Clone(s.Ages)
	if len(ages) == 0 {
		for a := 5 * time.Minute; a <= 1280*time.Minute; a *= 2 {
			ages = append(ages, a)
		}
	}
	type key struct {
		state queue.State
		hop   string
	}
	rows := map[key]*queue.ShapeRow{}
	for _, it := range m.matching(queue.Filter{States: s.States}) {
		bucket := sort.Search(len(ages), func(i int) bool { return now.Sub(it.Created) < ages[i] })
		for hop := range nextHops(it) {
			k := key{it.State, hop}
			if rows[k] == nil {
				rows[k] = &queue.ShapeRow{State: it.State, NextHop: hop, Counts: make([]int64, len(ages)+1)}
			}
			rows[k].Total++
			rows[k].Counts[bucket]++
		}
	}
	shape := queue.Shape{Ages: ages, AsOf: now}
	for _, r := range rows {
		shape.Rows = append(shape.Rows, *r)
	}
	slices.SortFunc(shape.Rows, func(a, b queue.ShapeRow) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.State, b.State), cmp.Compare(a.NextHop, b.NextHop))
	})
	return shape, nil
}

// nextHops of the pending recipients.
func nextHops(it queue.Item) map[string]bool {
	hops := map[string]bool{}
	for _, r := range it.Envelope.Recipients {
		if r.Status == queue.Pending {
			hops[r.NextHop] = true
		}
	}
	return hops
}

// Stats is the state of the whole queue.
func (m *Model) Stats(ctx context.Context) (queue.Stats, error) {
	_, err := m.enter()
	defer m.leave()
	if err != nil {
		return queue.Stats{}, err
	}
	st := queue.Stats{History: int64(len(m.state.finished)), Staged: int64(len(m.state.staged))}
	for _, s := range queue.States {
		st.States = append(st.States, queue.StateStats{State: s})
	}
	stages := map[string]*queue.StageStats{}
	for _, it := range m.state.live(func(it *item) bool { return !it.msg.staged }) {
		v := it.view()
		if v.Hold != nil {
			st.Held++
		}
		countState(&st.States[slices.Index(queue.States[:], v.State)], v)
		if v.State == queue.Unfiltered {
			if stages[v.Stage] == nil {
				stages[v.Stage] = &queue.StageStats{Stage: v.Stage, Oldest: v.Created}
			}
			countStage(stages[v.Stage], v)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(stages)) {
		st.Stages = append(st.Stages, *stages[name])
	}
	return st, nil
}

// countState and countStage are called oldest first.
func countState(s *queue.StateStats, it queue.Item) {
	if s.Messages == 0 {
		s.Oldest = it.Created
	}
	s.Messages++
	s.Bytes += it.Size()
	if it.Lease != nil {
		s.Leased++
	}
}

func countStage(s *queue.StageStats, it queue.Item) {
	s.Messages++
	if it.Lease != nil {
		s.Leased++
	}
}
