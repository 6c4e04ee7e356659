package engine

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sort"
	"time"

	"mtad/queue"
)

// Shape implements queue.Queue. It reads the counters, not the items: those of
// 5 minutes for the young, of 40 minutes for the rest. Items that are Active are
// taken from the leases.
func (e *Engine) Shape(_ context.Context, s queue.ShapeSpec) (queue.Shape, error) {
	ages := slices.Clone(s.Ages)
	if len(ages) == 0 {
		for a := 5 * time.Minute; a <= 1280*time.Minute; a *= 2 {
			ages = append(ages, a)
		}
	}
	if !slices.IsSorted(ages) || len(ages) > 100 {
		return queue.Shape{}, fmt.Errorf("%w: ages ascend, at most 100", queue.ErrInvalid)
	}
	l, err := e.listing(queue.Filter{})
	if err != nil {
		return queue.Shape{}, err
	}
	defer l.close()
	c := shaper{now: l.asOf, ages: ages, states: s.States, rows: map[shapeKey]*queue.ShapeRow{}}
	if err := c.counters(l.snap); err != nil {
		return queue.Shape{}, unavailable("shape", err)
	}
	for _, x := range l.leases {
		c.active(e, x)
	}
	return queue.Shape{Ages: ages, Rows: c.sorted(), AsOf: l.asOf}, nil
}

type shapeKey struct {
	state queue.State
	hop   string
}

type shaper struct {
	now    time.Time
	ages   []time.Duration
	states []queue.State
	rows   map[shapeKey]*queue.ShapeRow
}

func (c *shaper) add(k shapeKey, created time.Time, n int64) {
	if len(c.states) > 0 && !slices.Contains(c.states, k.state) {
		return
	}
	r := c.rows[k]
	if r == nil {
		r = &queue.ShapeRow{State: k.state, NextHop: k.hop, Counts: make([]int64, len(c.ages)+1)}
		c.rows[k] = r
	}
	age := c.now.Sub(created)
	i := sort.Search(len(c.ages), func(i int) bool { return age < c.ages[i] })
	r.Total += n
	r.Counts[i] += n
}

// border is where slots of 40 minutes are followed by slots of 5: at least 80
// minutes ago, at most 120.
func (c *shaper) border() time.Time { return c.now.Add(-2 * coarseSlot).Truncate(coarseSlot) }

// slotTime is a moment that stands for a slot: its end, so that an item is
// never shown older than it is, but not the future.
func (c *shaper) slotTime(slot uint64, width time.Duration) time.Time {
	t := time.Unix(0, int64(slot+1)*int64(width)-1)
	if t.After(c.now) {
		return c.now
	}
	return t
}

func (c *shaper) counters(from Reader) error {
	border := c.border()
	err := each(from, kFine, func(k, v []byte) {
		slot := binary.BigEndian.Uint64(k[1:])
		hop, _, _ := cutWord(k[10:])
		n, _ := binary.Varint(v)
		if slot >= slotOf(border, fineSlot) {
			c.add(shapeKey{queue.State(k[9]), hop}, c.slotTime(slot, fineSlot), n)
		}
	})
	if err != nil {
		return err
	}
	return each(from, kCoarse, func(k, v []byte) {
		hop, rest, ok := cutWord(k[2:])
		if !ok || len(rest) != 8 {
			return
		}
		slot := binary.BigEndian.Uint64(rest)
		n, _ := binary.Varint(v)
		if slot < slotOf(border, coarseSlot) {
			c.add(shapeKey{queue.State(k[1]), hop}, c.slotTime(slot, coarseSlot), n)
		}
	})
}

// each calls f with the keys of a space that are long enough for a counter.
func each(from Reader, space byte, f func(k, v []byte)) error {
	it, err := from.Range([]byte{space}, []byte{space + 1})
	if err != nil {
		return err
	}
	defer it.Close()
	for it.Next() {
		if k := it.Key(); len(k) >= 11 {
			f(k, it.Value())
		}
	}
	return it.Err()
}

// active moves a leased item from the state it is stored in to Active.
func (c *shaper) active(e *Engine, x *lease) {
	if x.r == nil || !limited(x.from) {
		return
	}
	st := e.stateOf(x.r, x)
	if st != queue.Active {
		return
	}
	hop := shorten(fold(x.r.hop()))
	at := c.counted(x.r.Created)
	c.add(shapeKey{x.r.State, hop}, at, -1)
	c.add(shapeKey{queue.Active, hop}, at, 1)
}

// counted is the moment under which an item is counted.
func (c *shaper) counted(created time.Time) time.Time {
	if border := c.border(); !created.Before(border) {
		return c.slotTime(slotOf(created, fineSlot), fineSlot)
	}
	return c.slotTime(slotOf(created, coarseSlot), coarseSlot)
}

func (c *shaper) sorted() []queue.ShapeRow {
	var rows []queue.ShapeRow
	for _, r := range c.rows {
		if r.Total > 0 && (r.NextHop != "" || r.State != queue.Unfiltered) {
			rows = append(rows, *r)
		}
	}
	slices.SortFunc(rows, func(a, b queue.ShapeRow) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.State, b.State), cmp.Compare(a.NextHop, b.NextHop))
	})
	return rows
}

// Stats implements queue.Queue.
func (e *Engine) Stats(context.Context) (queue.Stats, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.usable(); err != nil {
		return queue.Stats{}, err
	}
	s := queue.Stats{Held: e.tot.held, Staged: int64(len(e.staged)), Damaged: e.tot.damaged, History: e.tot.history}
	var by [len(queue.States) + 1]queue.StateStats
	for _, st := range queue.States {
		t := e.tot.states[st]
		by[st] = queue.StateStats{State: st, Messages: t.messages, Bytes: t.bytes}
	}
	leased := map[string]int64{}
	for _, l := range e.leases.byKey {
		e.countLease(&by, leased, l)
	}
	for _, st := range queue.States {
		if st != queue.Active && by[st].Messages > 0 {
			by[st].Oldest = e.oldestIn(st)
		}
		s.States = append(s.States, by[st])
	}
	for stage, n := range e.tot.stages {
		s.Stages = append(s.Stages, queue.StageStats{Stage: stage, Messages: n, Leased: leased[stage],
			Oldest: e.oldestOf(laneID{queue.Unfiltered, stage})})
	}
	slices.SortFunc(s.Stages, func(a, b queue.StageStats) int { return cmp.Compare(a.Stage, b.Stage) })
	return s, nil
}

// countLease moves a leased item to where people see it.
func (e *Engine) countLease(by *[len(queue.States) + 1]queue.StateStats, leased map[string]int64, l *lease) {
	r := l.r
	if l.staged || r == nil {
		return
	}
	st := e.stateOf(r, l)
	if st == queue.Active {
		by[r.State].Messages--
		by[r.State].Bytes -= r.Size()
		a := &by[queue.Active]
		a.Messages++
		a.Bytes += r.Size()
		if a.Oldest.IsZero() || r.Created.Before(a.Oldest) {
			a.Oldest = r.Created
		}
	}
	by[st].Leased++
	if st == queue.Unfiltered {
		leased[r.Stage]++
	}
}

// oldestIn is Created of the oldest item stored in a state and not Active.
func (e *Engine) oldestIn(st queue.State) time.Time {
	if st != queue.Unfiltered {
		return e.oldestOf(laneID{state: st})
	}
	var oldest time.Time
	for stage := range e.tot.stages {
		if t := e.oldestOf(laneID{st, stage}); !t.IsZero() && (oldest.IsZero() || t.Before(oldest)) {
			oldest = t
		}
	}
	return oldest
}

// oldestOf looks from where the oldest stood last: what was there before is
// gone, and need not be passed over again. mu is held.
func (e *Engine) oldestOf(id laneID) time.Time {
	l := e.lane(id)
	prefix := word([]byte{kState, byte(id.state)}, id.stage)
	it, err := e.log.Range(appendKey(slices.Clone(prefix), l.oldest), after(prefix))
	if err != nil {
		return time.Time{}
	}
	defer it.Close()
	for first := true; it.Next(); first = false {
		k := tailKey(it.Key())
		if first {
			l.oldest = k
		}
		if x := e.leases.byKey[k]; x != nil && limited(x.from) {
			continue
		}
		if r, err := e.fetch(k); err == nil {
			return r.Created
		}
		return k.id().Time()
	}
	return time.Time{}
}
