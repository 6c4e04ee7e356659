package engine

import (
	"encoding/binary"
	"log/slog"
	"math"
	"time"

	"mtad/queue"
)

// When a hold that could not be ended is looked at again: somebody works on the
// item, or the log is in trouble; or its records are, which will last.
const (
	holdRetry   = time.Second
	holdTrouble = time.Minute
)

// endHolds ends a bounded number of holds whose time has come, as one batch that
// is synced. The index of their times (kUntil) is written with the items, so that
// a crash in between changes nothing: what is still there is still to be done.
func (e *Engine) endHolds() {
	next := int64(math.MaxInt64)
	err := e.do(e.ctx, false, func(o *op) error {
		due, later, err := e.dueHolds(nanos(o.b.now))
		if err != nil {
			return err
		}
		next = later
		for _, k := range due {
			if wait := e.endHold(o, k); wait > 0 {
				next = min(next, nanos(o.b.now.Add(wait)))
			}
		}
		return nil
	})
	e.mu.Lock()
	e.sweep.untils = false
	if err != nil {
		next = e.o.Now().Add(holdRetry).UnixNano()
	}
	e.due.until = min(e.due.until, next)
	e.mu.Unlock()
	e.wakeHousekeeper()
}

// dueHolds finds up to sweepStep items whose hold ran out, and when the next one
// will. Items that somebody works on and that have to wait are few: they are
// leased.
func (e *Engine) dueHolds(now int64) (due []key, next int64, err error) {
	it, err := e.log.Range([]byte{kUntil}, []byte{kUntil + 1})
	if err != nil {
		return nil, 0, unavailable("holds", err)
	}
	defer it.Close()
	leased := 0
	for it.Next() {
		at, k := int64(binary.BigEndian.Uint64(it.Key()[1:])), tailKey(it.Key())
		if at > now || len(due) >= sweepStep+leased {
			return due, at, nil
		}
		if e.leases.byKey[k] != nil {
			leased++
		}
		due = append(due, k)
	}
	return due, math.MaxInt64, unavailable("holds", it.Err())
}

// endHold does what the hold of one item says, or returns how long that has to
// wait.
func (e *Engine) endHold(o *op, k key) (wait time.Duration) {
	old, err := o.load(k)
	if err != nil || old.Hold == nil || old.Hold.Until.IsZero() || old.Hold.Until.After(o.b.now) {
		return 0
	}
	if old.Hold.Then == queue.HoldRelease {
		e.releaseHold(o, old)
		return 0
	}
	if e.leases.byKey[k] != nil {
		return holdRetry
	}
	sub := op{b: o.b}
	t := txn{e: e, o: &sub, x: &queue.Txn{ID: k.id(), By: "mtad", Ops: old.Hold.EndOps()}}
	if err := t.run(); err != nil {
		e.slog.Warn("hold not ended", slog.String("queue_id", string(k.id())), slog.String("then", old.Hold.Then.String()), slog.Any("error", err))
		return holdTrouble
	}
	o.b.merge(&sub)
	o.sync = true
	return 0
}

func (e *Engine) releaseHold(o *op, old *rec) {
	r := old.draft()
	text := r.Hold.Reason
	r.Hold = nil
	r.LostClaims = 0
	r.rev = e.revs.Add(1)
	addStep(r, queue.Step{At: o.b.now, Kind: queue.EventReleased, Text: text})
	o.event(queue.EventReleased, r, "", text)
	o.set(old, r)
	o.sync = true
	if l := e.leases.byKey[r.key()]; l != nil {
		l.was, l.rev, l.r = l.rev, r.rev, r
	}
}
