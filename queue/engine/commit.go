package engine

import (
	"context"
	"fmt"
	"time"

	"mtad/queue"
)

// request is one caller's change on its way through the commit loop.
type request struct {
	// run checks the change and puts it into o. It runs on the commit loop with
	// mu held; when it fails nothing was changed.
	run  func(o *op) error
	done chan error
	// accept marks a Commit or a verdict: one that others are likely to follow.
	accept bool
	err    error
}

// do hands a change to the commit loop and waits for its end.
func (e *Engine) do(ctx context.Context, accept bool, run func(o *op) error) error {
	r := &request{run: run, done: make(chan error, 1), accept: accept}
	if e.ctx.Err() != nil {
		return queue.ErrUnavailable
	}
	select {
	case e.reqs <- r:
	case <-ctx.Done():
		return ctx.Err()
	case <-e.ctx.Done():
		return queue.ErrUnavailable
	}
	var err error
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		err = fmt.Errorf("%w: %w", queue.ErrUncertain, ctx.Err())
	case <-e.drained:
		err = queue.ErrUnavailable
	}
	select {
	case err := <-r.done:
		return err
	default:
		return err
	}
}

// loopState is what the commit loop remembers between batches.
type loopState struct {
	batch    []*request
	unsynced time.Time // since when something of class lazy waits for a sync
	timer    *time.Timer
	barren   int // gatherings in a row that brought nobody
	skip     int // gatherings to leave out
}

// commitLoop is the only writer of the log, but for chunks.
func (e *Engine) commitLoop() {
	l := loopState{timer: time.NewTimer(time.Hour)}
	defer l.timer.Stop()
	defer close(e.drained)
	for {
		select {
		case r := <-e.reqs:
			l.batch = append(l.batch[:0], r)
			e.gather(&l)
			e.commit(&l)
		case <-l.timer.C:
			e.syncLazy(&l)
		case <-e.ctx.Done():
			e.drain(&l)
			return
		}
	}
}

// drain answers who is still in line when the engine closes.
func (e *Engine) drain(l *loopState) {
	e.syncLazy(l)
	for {
		select {
		case r := <-e.reqs:
			r.done <- queue.ErrUnavailable
		default:
			return
		}
	}
}

// syncLazy keeps the promise of the lazy class.
func (e *Engine) syncLazy(l *loopState) {
	if l.unsynced.IsZero() {
		return
	}
	l.unsynced = time.Time{}
	e.mu.Lock()
	epoch := e.epoch
	e.mu.Unlock()
	start := time.Now()
	err := e.log.Sync()
	if err == nil {
		e.mu.Lock()
		if e.epoch == epoch {
			e.publish() // this loop alone settles batches: all of them were synced
		}
		e.mu.Unlock()
	}
	if e.o.Observe != nil {
		e.o.Observe(BatchStats{Synced: true, SyncDuration: time.Since(start), Err: err})
	}
	if err != nil {
		e.mu.Lock()
		e.down(epoch)
		e.mu.Unlock()
	}
}

const maxBatch = 1024

// gather takes who is in line, and when writers are about to commit waits a
// moment for them: they share the sync. A single client never waits, and where
// waiting brings nobody it is left out for a while.
func (e *Engine) gather(l *loopState) {
	e.takeWaiting(l)
	accepts := 0
	for _, r := range l.batch {
		if r.accept {
			accepts++
		}
	}
	if accepts == 0 || e.o.GatherDelay <= 0 || e.filling.Load() == 0 {
		return
	}
	if l.skip > 0 {
		l.skip--
		return
	}
	had := len(l.batch)
	t := time.NewTimer(e.o.GatherDelay)
	defer t.Stop()
	for len(l.batch) < maxBatch && e.filling.Load() > 0 {
		select {
		case r := <-e.reqs:
			l.batch = append(l.batch, r)
			continue
		case <-t.C:
		case <-e.ctx.Done():
		}
		break
	}
	if len(l.batch) > had {
		l.barren = 0
		return
	}
	if l.barren++; l.barren >= 8 {
		l.skip = 32
	}
}

func (e *Engine) takeWaiting(l *loopState) {
	for len(l.batch) < maxBatch {
		select {
		case r := <-e.reqs:
			l.batch = append(l.batch, r)
		default:
			return
		}
	}
}

// commit makes one batch of what was gathered and answers everybody.
func (e *Engine) commit(l *loopState) {
	e.mu.Lock()
	// The batch before the question: what was made of another incarnation of the
	// log than the one that the memory fits, or while it was down, is not used.
	b := e.newBuild()
	if err := e.usable(); err != nil {
		e.mu.Unlock()
		b.out.Discard()
		answer(l.batch, err)
		return
	}
	for _, r := range l.batch {
		o := op{b: b}
		if r.err = r.run(&o); r.err == nil {
			b.merge(&o)
		}
	}
	b.finish()
	e.mu.Unlock()

	synced := b.sync && b.out.Len() > 0
	err := e.apply(l, b)

	e.mu.Lock()
	if err == nil && !b.sync && b.out.Len() > 0 && e.epoch != b.epoch {
		err = fmt.Errorf("engine: the log was opened anew: %w", ErrLogIO) // may be gone
	}
	if err != nil {
		b.undo()
		e.down(b.epoch)
	} else {
		b.settle()
		if synced && e.epoch == b.epoch {
			e.publish()
		}
	}
	e.mu.Unlock()
	if err != nil {
		e.slog.Error("batch not applied", "error", err)
		answer(l.batch, queue.ErrUncertain)
		return
	}
	answer(l.batch, nil)
}

// apply hands the batch to the log, out of sight of readers until it is synced.
func (e *Engine) apply(l *loopState, b *build) error {
	if b.out.Len() == 0 {
		b.out.Discard()
		return nil
	}
	st := BatchStats{Ops: len(l.batch), Bytes: b.out.Size(), Synced: b.sync}
	start := time.Now()
	if b.sync {
		e.vis.Lock()
		st.Err = e.log.Apply(b.out, true)
		e.vis.Unlock()
		l.unsynced = time.Time{}
	} else {
		st.Err = e.log.Apply(b.out, false)
		if l.unsynced.IsZero() {
			l.unsynced = start
			l.timer.Reset(e.o.SyncDelay)
		}
	}
	if e.o.Observe != nil {
		st.SyncDuration = time.Since(start)
		e.o.Observe(st)
	}
	return st.Err
}

// answer ends requests: each with its own error, or with err where it has none.
func answer(rs []*request, err error) {
	for i, r := range rs {
		if r.err == nil {
			r.err = err
		}
		r.done <- r.err
		rs[i] = nil
	}
}
