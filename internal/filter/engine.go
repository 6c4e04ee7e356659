package filter

import (
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"mtad/queue"
)

// Engine runs filter chains over one queue. It is safe for concurrent use; its
// configuration does not change, a reload makes a new one over the same queue
// and registry (claims made through the old one stay good).
type Engine struct {
	q         queue.Queue
	chains    map[string]Chain
	filters   map[string]Definition
	route     func(string) (string, string, error)
	maxHeader int
	sweepEach time.Duration
	now       func() time.Time
	log       *slog.Logger
	metrics   *metrics

	leases leases

	mu     sync.Mutex
	states map[string]*state // one for each filter
}

// state is what an Engine knows of one filter beyond its definition. Guarded by
// Engine.mu.
type state struct {
	polling  int       // claim calls under way
	lastPoll time.Time // end of the newest claim call, or the engine's start
	scanning int       // scans under way, driven filters
	taken    int       // slots for scans that are in use or about to be
	breaker  breaker
	throttle throttle

	verdicts, failures map[string]int64 // by disposition, by class
	lastError          string
	lastErrorAt        time.Time
}

// New checks the configuration and makes an Engine. It does no I/O.
func New(o Options) (*Engine, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	e := &Engine{
		q: o.Queue, route: o.Route, maxHeader: o.MaxHeader, sweepEach: o.SweepInterval,
		now: o.Now, log: o.Logger,
		chains:  make(map[string]Chain, len(o.Chains)),
		filters: make(map[string]Definition, len(o.Filters)),
		states:  make(map[string]*state, len(o.Filters)),
	}
	if e.maxHeader <= 0 {
		e.maxHeader = defMaxHeader
	}
	e.maxHeader = min(e.maxHeader, maxMaxHeader)
	setDefault(&e.sweepEach, defSweep)
	if e.now == nil {
		e.now = time.Now
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	for name, c := range o.Chains {
		e.chains[name] = c.withDefaults()
	}
	for name, d := range o.Filters {
		d.Failure = maps.Clone(d.Failure)
		d = d.withDefaults()
		e.filters[name] = d
		e.states[name] = &state{lastPoll: e.now(), breaker: breaker{settings: d.Breaker}, throttle: throttle{max: d.Concurrency},
			verdicts: make(map[string]int64), failures: make(map[string]int64)}
	}
	var err error
	e.metrics, err = newMetrics(o.Registry, slices.Sorted(maps.Keys(e.filters)))
	return e, err
}

// with runs f on a filter's state under the lock.
func (e *Engine) with(filter string, f func(*state)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f(e.states[filter])
}
