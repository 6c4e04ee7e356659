package engine

import (
	"context"
	"fmt"
	"slices"

	"mtad/queue"
)

// stagedMessage is a message whose client still waits: its octets are in the
// log, unsynced and marked, its items in memory only.
type stagedMessage struct {
	items   map[key]*rec // its parts, the finished ones too
	parts   uint32       // highest part number
	changed chan struct{}
	untold  []queue.Event // what happened so far, to be told at the commit
	dead    bool          // the log failed, or the queue was closed
}

// notify wakes who waits for the items to change.
func (m *stagedMessage) notify() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// requeue makes a staged item claimable again.
func (m *stagedMessage) requeue(e *Engine, k key) {
	r := m.items[k]
	if r == nil || r.Outcome != nil || r.held() || r.State != queue.Unfiltered || !e.free(k) {
		return
	}
	e.lane(laneID{r.State, r.Stage}).addStaged(k)
}

// sorted are the items in the order of their parts.
func (m *stagedMessage) sorted() []*rec {
	var rs []*rec
	for _, r := range m.items {
		rs = append(rs, r)
	}
	slices.SortFunc(rs, func(a, b *rec) int {
		if a.key().less(b.key()) {
			return -1
		}
		return 1
	})
	return rs
}

// stage records a change of a staged item: memory only.
func (o *op) stage(_, r *rec) {
	e := o.b.e
	r.Staged = true
	o.after = append(o.after, func() {
		m := e.staged[r.key().msg]
		if m == nil {
			return
		}
		m.items[r.key()] = r
		m.requeue(e, r.key())
		m.notify()
	})
}

// Stage implements queue.Writer.
func (w *writer) Stage(context.Context) error {
	w.filled()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.committed || w.aborted || w.m != nil:
		return fmt.Errorf("%w: stage after the end", queue.ErrInvalid)
	case w.r.Stage == "":
		return fmt.Errorf("%w: a message without a stage cannot be staged", queue.ErrInvalid)
	case w.err != nil:
		return w.err
	}
	if err := w.lateMeta(); err != nil {
		return err
	}
	w.e.mu.Lock()
	err := w.e.refusal(w.o.Origin)
	w.e.mu.Unlock()
	if err == nil && len(w.s.buf) > 0 {
		err = w.flush()
	}
	if err != nil {
		return err
	}
	r := w.r.draft()
	w.content(r)
	r.Staged = true
	r.rev = w.e.revs.Add(1)
	m := &stagedMessage{items: map[key]*rec{r.key(): r}, changed: make(chan struct{})}
	w.e.mu.Lock()
	defer w.e.mu.Unlock()
	if err := w.e.usable(); err != nil {
		return err
	}
	if w.s.marked && w.s.epoch != w.e.epoch {
		return queue.ErrUnavailable
	}
	w.e.staged[r.key().msg] = m
	w.m = m
	m.requeue(w.e, r.key())
	return nil
}

// Wait implements queue.Writer.
func (w *writer) Wait(ctx context.Context) ([]queue.Item, error) {
	w.mu.Lock()
	m := w.m
	w.mu.Unlock()
	if m == nil {
		return nil, fmt.Errorf("%w: nothing is staged", queue.ErrInvalid)
	}
	for {
		w.e.mu.Lock()
		items, done := w.judged(m)
		changed, dead := m.changed, m.dead
		w.e.mu.Unlock()
		switch {
		case dead:
			return nil, queue.ErrUnavailable
		case done:
			return items, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// judged returns the parts when none is in Unfiltered any more, or is held there.
func (w *writer) judged(m *stagedMessage) ([]queue.Item, bool) {
	var items []queue.Item
	for _, r := range m.sorted() {
		if r.Outcome == nil && r.State == queue.Unfiltered && !r.held() {
			return nil, false
		}
		items = append(items, w.e.show(r, w.e.leases.byKey[r.key()]))
	}
	return items, true
}

// commitStaged makes the message exist as it is now.
func (w *writer) commitStaged(ctx context.Context) (it queue.Item, err error) {
	e, msg := w.e, w.s.msg
	uncertain := w.uncertain
	err = e.do(ctx, true, func(o *op) error {
		if uncertain {
			if old, oerr := e.anywhere(keyOf(w.r.ID)); oerr == nil {
				it = copyItem(old)
				return nil
			}
		}
		m := w.m
		if m.dead || e.staged[msg] != m {
			return fmt.Errorf("engine: staged message is gone: %w", queue.ErrUnavailable)
		}
		if err := w.check(o); err != nil {
			return err
		}
		rs := m.sorted()
		g := &group{live: len(rs), next: m.parts + 1}
		blobs := g
		first := -1
		for i, was := range rs {
			if l := e.leases.byKey[was.key()]; l != nil && l.staged && l.busy && l.r != nil {
				was = l.r // changed earlier in this batch
			}
			r := was.draft()
			r.Staged = false
			r.rev = e.revs.Add(1)
			r.grouped = len(rs) > 1
			rs[i] = r
			blobs.keep(r.blobs)
			if r.Outcome != nil {
				g.live--
			} else if first < 0 {
				first = i
			}
			addStep(r, queue.Step{At: o.b.now, Kind: queue.EventAccepted})
			o.set(nil, r)
		}
		o.accepted(rs[0])
		o.events = append(o.events, m.untold...)
		w.group(o, g, len(rs) > 1)
		if first < 0 {
			first = 0
		}
		it = copyItem(rs[first])
		o.sync = true
		o.after = append(o.after, func() { e.unstage(m, rs) })
		return nil
	})
	if err != nil {
		return queue.Item{}, err
	}
	return it, nil
}

// group writes the count of parts, takes the marks off, and drops content that
// nobody needs.
func (w *writer) group(o *op, g *group, split bool) {
	for _, b := range g.blobs {
		o.deletes = append(o.deletes, openMark(w.s.msg, b.id))
	}
	if g.live == 0 {
		o.dropContent(w.s.msg, g.blobs)
		return
	}
	if split {
		o.setGroup(w.s.msg, g)
	}
}

// unstage ends the staged life of a message that is committed now. Leases on it
// go on.
func (e *Engine) unstage(m *stagedMessage, rs []*rec) {
	for _, r := range rs {
		k := r.key()
		delete(e.staged, k.msg)
		if st := e.lanes[laneID{queue.Unfiltered, r.Stage}]; st != nil {
			st.dropStaged(k)
		}
		if l := e.leases.byKey[k]; l != nil {
			l.staged = false
			l.r, l.was, l.rev = r, l.rev, r.rev
		}
		m.items[k] = r
	}
	m.notify()
}

// abortStaged drops a staged message; leases on it are void.
func (w *writer) abortStaged() {
	e := w.e
	e.mu.Lock()
	defer e.mu.Unlock()
	if w.m.dead || e.staged[w.s.msg] != w.m {
		return
	}
	delete(e.staged, w.s.msg)
	var blobs group
	for k, r := range w.m.items {
		if l := e.leases.byKey[k]; l != nil {
			e.leases.remove(l)
			e.dropUploads(l)
		}
		if st := e.lanes[laneID{queue.Unfiltered, r.Stage}]; st != nil {
			st.dropStaged(k)
		}
		delete(e.leases.blocks, k)
		blobs.keep(r.blobs)
	}
	w.m.dead = true
	w.m.notify()
	e.forgetContent(w.s.msg, blobs.blobs)
}

// forgetContent drops blobs that were never committed.
func (e *Engine) forgetContent(msg uint64, bs []blob) {
	b := e.log.NewBatch()
	o := op{}
	o.dropContent(msg, bs)
	for _, c := range o.drops {
		b.DropChunk(c)
	}
	for _, x := range bs {
		b.Delete(openMark(msg, x.id))
	}
	if err := e.log.Apply(b, false); err != nil {
		e.slog.Warn("staged content not dropped", "error", err)
	}
}

// dropStaged gives up every staged message: the log failed, or the queue is
// closed. Their clients have no reply. mu is held.
func (e *Engine) dropStaged() {
	for msg, m := range e.staged {
		for k := range m.items {
			if l := e.leases.byKey[k]; l != nil {
				e.leases.remove(l)
			}
			delete(e.leases.blocks, k)
		}
		m.dead = true
		m.notify()
		delete(e.staged, msg)
	}
}
