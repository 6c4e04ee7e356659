// Package engine is a queue.Queue: one partition, every rule of spec/queue.md
// once, over a narrow Log that makes bytes durable and knows nothing of mail.
//
// # How it works
//
// Every change goes through one commit loop. It gathers what many callers want,
// checks each against the present state, puts all of it into one batch and makes
// it durable with one sync; then the changes become visible and the callers are
// answered. Changes of class lazy are answered when they are applied and synced
// with the next batch, at the latest Options.SyncDelay later.
//
// Leases, staged messages and the order of claims live in memory. The memory
// for the order is bounded: each next hop has a window on its queue, what does
// not fit is read from the index when its turn comes. Counters and totals are kept
// with every change, so that opening a queue of any length reads a handful of
// keys.
//
// # Trouble
//
// When the log fails, what was under way ends with queue.ErrUncertain, and what
// comes with queue.ErrUnavailable until the log is up again; then the engine
// reads its memory anew. Leases survive that: a holder whose item is as it was
// goes on. Uploads that no verdict had named do not, and end the lease.
//
// The caller owns what it is given and what it passes in.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"mtad/queue"
)

// Engine is a queue.Queue over a Log.
type Engine struct {
	log  Log
	o    Options
	slog *slog.Logger
	ids  idSource
	revs atomic.Uint64

	reqs    chan *request
	drained chan struct{} // closed when the commit loop has ended
	kick    chan struct{} // something earlier than the housekeeper waits for
	ctx     context.Context
	cancel  context.CancelFunc
	work    crew
	loops   sync.WaitGroup
	filling atomic.Int64 // writers with content that have not asked for Commit
	unsafe  []string

	// vis is held while a batch is applied and not yet synced: who reads what is
	// committed takes it shared, and so sees nothing that is not durable.
	vis sync.RWMutex

	mu       sync.Mutex
	up       bool
	closed   bool
	epoch    uint64
	tot      totals
	leases   leaseTable
	pending  map[key]bool // changed by the batch under way
	told     uint64       // number of the last batch whose events were settled
	synced   uint64       // number of the last batch whose events are durable: readers may see them
	lanes    map[laneID]*lane
	staged   map[uint64]*stagedMessage
	fresh    freshCache
	nonces   nonceTable
	due      dueClock
	news     chan struct{} // closed when events were committed
	counters counters
	cursors  cursorTable
	jobs     jobTable
	sweep    sweeper
}

var _ queue.Queue = (*Engine)(nil)

// Open reads the state of a queue from log, which the Engine owns from then on.
// It fails with a *ClockError or an *UnsafeLogError where the promises of the
// queue cannot hold and Options.Unsafe does not allow it. When the log is down
// Open succeeds, and the queue answers queue.ErrUnavailable until it is up.
func Open(ctx context.Context, log Log, o Options) (*Engine, error) {
	o = o.withDefaults()
	e := &Engine{log: log, o: o, slog: o.Logger, reqs: make(chan *request, 1024), kick: make(chan struct{}, 1),
		news: make(chan struct{}), drained: make(chan struct{})}
	e.ids.node = o.Node
	e.revs.Store(uint64(o.Now().UnixNano()))
	e.ctx, e.cancel = context.WithCancel(context.WithoutCancel(ctx))
	e.reset()
	if u := log.Unsafe(); len(u) > 0 {
		if !o.Unsafe.NoSync {
			e.cancel()
			return nil, &UnsafeLogError{u}
		}
		e.unsafe = append(e.unsafe, u...)
	}
	if log.Epoch() != 0 {
		if err := e.load(); err != nil && !isLogTrouble(err) {
			e.cancel()
			return nil, err
		}
	}
	e.loops.Go(e.commitLoop)
	e.work.Go(e.follow)
	e.work.Go(e.housekeep)
	return e, nil
}

func isLogTrouble(err error) bool {
	return errors.Is(err, ErrLogIO) || errors.Is(err, ErrLogFull) || errors.Is(err, queue.ErrUnavailable)
}

// reset empties the memory that load fills.
func (e *Engine) reset() {
	e.pending = map[key]bool{}
	e.lanes = map[laneID]*lane{}
	e.staged = map[uint64]*stagedMessage{}
	e.fresh.reset()
	e.counters.reset()
	e.tot = totals{stages: map[string]int64{}}
	if e.leases.byToken == nil {
		e.leases.init()
		e.nonces.init()
		e.cursors.init()
		e.jobs.init()
	}
}

// load reads what the engine keeps in memory from the log. mu is not held.
func (e *Engine) load() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	epoch := e.log.Epoch()
	if epoch == 0 {
		return fmt.Errorf("engine: open: %w", queue.ErrUnavailable)
	}
	e.dropStaged()
	e.reset()
	defer func() {
		e.told = e.tot.seq
		e.publish()
	}()
	b, err := e.log.Get([]byte{kTotals}, nil)
	switch {
	case errors.Is(err, ErrNoKey):
	case err != nil:
		return fmt.Errorf("engine: read totals: %w", err)
	default:
		if err := e.tot.decode(b); err != nil {
			if err = e.recount(); err != nil {
				return fmt.Errorf("engine: count anew: %w", err)
			}
		}
	}
	if err := e.checkClock(); err != nil {
		return err
	}
	if err := e.dropOrphans(); err != nil && !isLogTrouble(err) {
		return err
	}
	e.leases.stale()
	e.jobs.leaseEnded()
	e.nonces.reopened()
	e.startDue()
	for st := range e.tot.stages {
		e.lane(laneID{queue.Unfiltered, st})
	}
	e.lane(laneID{state: queue.Incoming})
	e.lane(laneID{state: queue.Deferred})
	if err := e.loadJobs(); err != nil {
		return err
	}
	e.epoch, e.up = epoch, true
	for _, l := range e.lanes {
		l.wakeAll()
	}
	return nil
}

// checkClock refuses a clock before the newest record.
func (e *Engine) checkClock() error {
	if e.tot.newest == 0 {
		return nil
	}
	newest := queue.IDFromBits(e.tot.newest, 0).Time()
	e.ids.bump(newest)
	now := e.o.Now()
	if !now.Add(clockTolerance).Before(newest) || e.epoch != 0 {
		return nil
	}
	if !e.o.Unsafe.ClockBehind {
		return &ClockError{Now: now, Newest: newest}
	}
	e.unsafe = append(e.unsafe, "clock_behind")
	return nil
}

// follow reads the memory anew whenever the log comes up again.
func (e *Engine) follow() {
	for e.ctx.Err() == nil {
		e.mu.Lock()
		old := e.epoch
		e.mu.Unlock()
		if _, err := e.log.Wait(e.ctx, old); err != nil {
			return
		}
		if err := e.load(); err != nil {
			e.slog.Error("queue cannot be read", "error", err)
			if !e.pause(200 * time.Millisecond) {
				return
			}
		}
		e.wakeHousekeeper()
	}
}

// pause waits; false when the engine is closed meanwhile.
func (e *Engine) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-e.ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// down notes that the log of an epoch failed, unless its successor is up
// already. mu is held.
func (e *Engine) down(epoch uint64) {
	if e.epoch != epoch {
		return
	}
	e.up = false
	for _, l := range e.lanes {
		l.wakeAll()
	}
}

// usable is nil when the memory fits the log. mu is held.
func (e *Engine) usable() error {
	if !e.up || e.closed || e.log.Epoch() != e.epoch {
		return queue.ErrUnavailable
	}
	return nil
}

// Health implements queue.Queue.
func (e *Engine) Health(context.Context) queue.Health {
	e.mu.Lock()
	err := e.usable()
	full := e.refusal(queue.OriginSMTP)
	e.mu.Unlock()
	sp := e.log.Space()
	h := queue.Health{Ready: true, Writable: true, FreeBytes: sp.FreeBytes, Unsafe: append([]string(nil), e.unsafe...)}
	switch {
	case err != nil:
		h.Ready, h.Writable, h.Reason, h.Detail = false, false, "unavailable", "the store does not answer"
	case errors.Is(full, queue.ErrHighWater):
		h.Ready, h.Reason, h.Detail = false, "queue_full", full.Error()
	case full != nil:
		h.Ready, h.Reason, h.Detail = false, "storage_full", full.Error()
	}
	return h
}

// Close ends the queue: leases are void, what is under way is answered, the log
// is closed.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	for _, l := range e.lanes {
		l.wakeAll()
	}
	e.dropStaged()
	e.mu.Unlock()
	e.cancel()
	e.work.Wait()
	e.loops.Wait()
	e.cursors.closeAll()
	return e.log.Close()
}

// unavailable turns an error of the log into one of queue's.
func unavailable(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrLogCorrupt):
		return fmt.Errorf("engine: %s: %w: %w", what, queue.ErrCorrupt, err)
	case errors.Is(err, ErrLogFull):
		return fmt.Errorf("engine: %s: %w: %w", what, queue.ErrFull, err)
	}
	return fmt.Errorf("engine: %s: %w: %w", what, queue.ErrUnavailable, err)
}
