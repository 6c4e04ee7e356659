package qmgr

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"mtad/queue"
)

// Manager is the queue manager. Run is its life; it is used once.
type Manager struct {
	o      Options
	policy policy
	log    *slog.Logger
	met    *metrics

	mu       sync.Mutex // guards all below
	core     *core
	live     map[*job]struct{} // whose leases are ours
	wake     sync.Cond         // a job is ready, or stopping
	idle     int               // workers in wake
	stopping bool

	kick [classes]chan struct{} // a claim may get more than before

	moved recent // items sent to other routes lately
}

// work is the manager's part of a job.
type work struct {
	queue.Claim
	led     *ledger
	at      place // where pending recipients are tried
	reroute bool  // only to be moved to Incoming with new routes
	renewAt time.Time
	lost    bool
	cancel  context.CancelFunc // of the running attempt
}

// New returns a Manager. It panics without a Queue.
func New(o Options) *Manager {
	if o.Queue == nil {
		panic("qmgr: Queue is required")
	}
	o = o.withDefaults()
	m := &Manager{o: o, policy: newPolicy(&o), log: o.Logger, core: newCore(&o), live: map[*job]struct{}{}}
	m.wake.L = &m.mu
	for i := range m.kick {
		m.kick[i] = make(chan struct{}, 1)
	}
	m.met = newMetrics(m, o.Registry)
	return m
}

// grace is what a cancelled attempt gets to come back and have its result written.
const grace = 5 * time.Second

// Run claims and delivers until ctx ends; then no new work is begun, running
// attempts get DrainTimeout, and what is left goes back where it was. It
// returns nil, when nothing of its own runs any more except attempts that
// ignore their cancellation.
func (m *Manager) Run(ctx context.Context) error {
	tries, cancelTries := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelTries()
	store, cancelStore := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelStore()

	var workers, claimers, renewer sync.WaitGroup
	for range m.o.Concurrency {
		workers.Go(func() { m.worker(tries, store) })
	}
	for c := range classes {
		claimers.Go(func() { m.claimer(ctx, store, c) })
	}
	renewing, stopRenewing := context.WithCancel(store)
	renewer.Go(func() { m.renewer(renewing) })

	claimers.Wait() // they end with ctx
	m.stop(store)
	done := make(chan struct{})
	go func() { workers.Wait(); close(done) }()
	if !ended(done, m.o.DrainTimeout) {
		m.log.Warn("attempts cut short", "active", m.Active())
		cancelTries()
		ended(done, grace)
	}
	stopRenewing()
	renewer.Wait()
	m.releaseAll(store)
	return nil
}

func ended(done <-chan struct{}, within time.Duration) bool {
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

// Active is the number of items claimed now.
func (m *Manager) Active() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.core.active[fresh] + m.core.active[retry]
}

// stop lets workers end after what they do, and gives back what none has begun.
func (m *Manager) stop(ctx context.Context) {
	m.mu.Lock()
	m.stopping = true
	jobs := m.core.dropWaiting(time.Now())
	for _, j := range jobs {
		delete(m.live, j)
	}
	m.wake.Broadcast()
	m.mu.Unlock()
	for _, j := range jobs {
		m.release(ctx, j)
	}
}

// releaseAll gives back what attempts that did not end in time still hold. Their
// results will be refused.
func (m *Manager) releaseAll(ctx context.Context) {
	m.mu.Lock()
	var jobs []*job
	for j := range m.live {
		j.lost = true
		jobs = append(jobs, j)
	}
	m.mu.Unlock()
	for _, j := range jobs {
		m.release(ctx, j)
	}
}

func (m *Manager) release(ctx context.Context, j *job) {
	err := m.o.Queue.Release(ctx, j.Token, 0, false)
	if err != nil && !gone(err) {
		m.log.Warn("release", "queue_id", j.Item.ID, "error", err)
	}
}

// gone says that an item is no longer ours to change.
func gone(err error) bool {
	return errors.Is(err, queue.ErrLeaseLost) || errors.Is(err, queue.ErrNotFound) || errors.Is(err, queue.ErrConflict)
}
