package engine

import (
	"fmt"

	"mtad/queue"
)

// tally counts items and their octets.
type tally struct{ messages, bytes int64 }

// totals are the numbers that Stats shows. They are written with every batch
// and read at start, so that nothing has to be counted.
type totals struct {
	states  [len(queue.States) + 1]tally
	stages  map[string]int64
	held    int64
	aside   tally // held in Unfiltered: they wait for somebody, and for no filter
	history int64
	damaged int64
	newest  uint64 // bits of the highest message ID committed
	seq     uint64 // of the last batch of events
}

// add counts r in (n = 1) or out (n = -1).
func (t *totals) add(r *rec, n int64) {
	s := &t.states[r.State]
	s.messages += n
	s.bytes += n * r.Size()
	if r.State == queue.Unfiltered {
		if t.stages[r.Stage] += n; t.stages[r.Stage] == 0 {
			delete(t.stages, r.Stage)
		}
	}
	if r.held() {
		t.held += n
		if r.State == queue.Unfiltered {
			t.aside.messages += n
			t.aside.bytes += n * r.Size()
		}
	}
}

func (t *totals) encode(dst []byte) []byte {
	e := encoder{b: append(dst[:0], 0, 0, 0, 0, 0)}
	e.uint(uint64(len(t.states)))
	for _, s := range t.states {
		e.int(s.messages)
		e.int(s.bytes)
	}
	e.uint(uint64(len(t.stages)))
	for name, n := range t.stages {
		e.str(name)
		e.int(n)
	}
	e.int(t.held)
	e.int(t.history)
	e.int(t.damaged)
	e.uint(t.newest)
	e.uint(t.seq)
	e.int(t.aside.messages)
	e.int(t.aside.bytes)
	return seal(e.b)
}

func (t *totals) decode(b []byte) error {
	body, err := unseal(b)
	if err != nil {
		return err
	}
	d := decoder{b: body}
	*t = totals{stages: map[string]int64{}}
	if n := d.count(2); n != len(t.states) {
		return fmt.Errorf("engine: totals of %d states", n)
	}
	for i := range t.states {
		t.states[i] = tally{d.int(), d.int()}
	}
	for range d.count(2) {
		name := d.str()
		t.stages[name] = d.int()
	}
	t.held, t.history, t.damaged, t.newest, t.seq = d.int(), d.int(), d.int(), d.uint(), d.uint()
	t.aside = tally{d.int(), d.int()} // absent from old ones: they are counted anew
	return d.err
}
