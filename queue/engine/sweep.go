package engine

import (
	"encoding/binary"
	"math"
	"time"
)

// sweeper drops what is older than it is kept for, a bounded number of records
// at a time, from where it came to last: the front of each range is full of what
// was deleted before.
type sweeper struct {
	busy   bool
	next   time.Time
	byEnd  []byte // keys before were swept
	events []byte
	untils bool // holds are being ended
}

const (
	sweepStep  = 500
	sweepEvery = 5 * time.Second
	keepJobs   = 24 * time.Hour
)

// sweepOld starts what is due and returns the time to the next look.
func (e *Engine) sweepOld(now time.Time) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.due.until <= now.UnixNano() && !e.sweep.untils {
		e.sweep.untils = true
		e.due.until = math.MaxInt64 // what is committed from here on says so itself
		e.work.Go(e.endHolds)
	}
	if now.Before(e.sweep.next) || e.sweep.busy {
		return sweepEvery
	}
	e.sweep.next = now.Add(sweepEvery)
	e.sweep.busy = true
	e.cursors.expire(now.Add(-e.o.CursorIdle))
	for len(e.nonces.answers) > 0 && len(e.nonces.ring) == 0 {
		e.nonces.init()
	}
	e.work.Go(func() { e.sweepAll(now) })
	return sweepEvery
}

func (e *Engine) sweepAll(now time.Time) {
	for _, f := range [...]func(*op, time.Time) (bool, error){e.sweepHistory, e.sweepEvents, e.sweepCounters, e.sweepJobs} {
		for more := true; more; {
			err := e.do(e.ctx, false, func(o *op) (err error) {
				more, err = f(o, now)
				return err
			})
			if err != nil {
				break
			}
		}
	}
	e.mu.Lock()
	e.sweep.busy = false
	e.mu.Unlock()
}

// sweepHistory drops finished items whose time is over.
func (e *Engine) sweepHistory(o *op, now time.Time) (bool, error) {
	lo := e.sweep.byEnd
	if lo == nil {
		lo = []byte{kByEnd}
	}
	end := binary.BigEndian.AppendUint64([]byte{kByEnd}, uint64(max(nanos(now.Add(-max(e.o.History, 0))), 0)))
	it, err := e.log.Range(lo, end)
	if err != nil {
		return false, unavailable("sweep", err)
	}
	defer it.Close()
	n := 0
	for ; it.Next() && n < sweepStep; n++ {
		k := append([]byte(nil), it.Key()...)
		if err := e.sweepOne(o, k, now); err != nil {
			return false, err
		}
		e.sweep.byEnd = append(k, 0)
	}
	return n == sweepStep, unavailable("sweep", it.Err())
}

// sweepOne drops one finished item, unless another part of its message is still
// known: the parts go together.
func (e *Engine) sweepOne(o *op, byEnd []byte, now time.Time) error {
	k := tailKey(byEnd)
	o.b.out.DeleteIndex(byEnd)
	r, err := e.readHistory(e.log, k)
	if err == nil && r.grouped {
		if at, wait := e.newestPart(k.msg, now); wait {
			o.b.out.PutIndex(timedKey(nil, kByEnd, at, k), nil)
			return nil
		}
	}
	o.deletes = append(o.deletes, itemKey(nil, kHistory, k))
	e.tot.history--
	if err == nil && r.dedupe != "" {
		o.deletes = append(o.deletes, dedupeKey(r.dedupe))
	}
	return nil
}

// newestPart says when a message with other parts is to be looked at again.
func (e *Engine) newestPart(msg uint64, now time.Time) (time.Time, bool) {
	live, _ := firstKey(e.log, messageKey(nil, kRecord, msg))
	if live != nil {
		return now.Add(time.Hour - e.o.History), true
	}
	prefix := messageKey(nil, kHistory, msg)
	it, err := e.log.Range(prefix, after(prefix))
	if err != nil {
		return now.Add(time.Hour - e.o.History), true
	}
	defer it.Close()
	var newest time.Time
	for it.Next() {
		if r, err := decodeRecord(it.Value()); err == nil && r.Outcome != nil && r.Outcome.At.After(newest) {
			newest = r.Outcome.At
		}
	}
	return newest, newest.After(now.Add(-e.o.History))
}

func firstKey(from Reader, prefix []byte) ([]byte, error) {
	it, err := from.Range(prefix, after(prefix))
	if err != nil {
		return nil, err
	}
	defer it.Close()
	if it.Next() {
		return append([]byte(nil), it.Key()...), nil
	}
	return nil, it.Err()
}

// sweepEvents drops batches of events that are too old.
func (e *Engine) sweepEvents(o *op, now time.Time) (bool, error) {
	lo := e.sweep.events
	if lo == nil {
		lo = []byte{kEvents}
	}
	it, err := e.log.Range(lo, []byte{kEvents + 1})
	if err != nil {
		return false, unavailable("sweep", err)
	}
	defer it.Close()
	n := 0
	for ; n < sweepStep && it.Next(); n++ {
		at, _, err := decodeEvents(it.Value())
		if err == nil && !at.Before(now.Add(-e.o.Events)) {
			return false, nil
		}
		k := append([]byte(nil), it.Key()...)
		o.deletes = append(o.deletes, k)
		e.sweep.events = append(k, 0)
	}
	return n == sweepStep, unavailable("sweep", it.Err())
}

// sweepCounters drops the counters of 5 minutes that are not kept any more.
func (e *Engine) sweepCounters(o *op, now time.Time) (bool, error) {
	end := binary.BigEndian.AppendUint64([]byte{kFine}, slotOf(now.Add(-keepFine-fineSlot), fineSlot))
	first, err := firstKey(e.log, []byte{kFine})
	if err != nil {
		return false, unavailable("sweep", err)
	}
	if first != nil && string(first) < string(end) {
		o.b.out.DeleteIndexRange([]byte{kFine}, end)
		e.counters.reset()
	}
	return false, nil
}

// sweepJobs drops jobs that were done a day ago.
func (e *Engine) sweepJobs(o *op, now time.Time) (bool, error) {
	for id, j := range e.jobs.all {
		if f := j.Status.Finished; !f.IsZero() && now.Sub(f) > keepJobs {
			o.deletes = append(o.deletes, jobKey(id))
			delete(e.jobs.all, id)
		}
	}
	return false, nil
}
