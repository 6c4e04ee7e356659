package queuetest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"mtad/queue"
)

// Model is a queue.Queue in maps under one mutex. Nothing of it is durable
// unless Crash is asked what would be.
type Model struct {
	o     ModelOptions
	clock Clock

	mu      sync.Mutex
	closed  bool
	changed chan struct{} // closed and replaced by every change
	state   *state
	undo    []*state // states before each lazy change since the last sync

	leases    map[queue.Token]*lease
	served    map[string]uint64 // next hop -> when it was last claimed from
	serve     uint64
	snapshots map[string][]queue.Item
	snapshotN int
}

// ModelOptions set up a Model; the zero value is usable.
type ModelOptions struct {
	Clock Clock // nil: the system's, which testing/synctest replaces
	// MaxClaims is how many leases may run out before an item is held as poison;
	// 0 means 3.
	MaxClaims int
	// Retention of history records; 0 means 72 hours.
	Retention time.Duration
	// MaxMessages is the high-water mark: Create answers ErrFull at it. 0: none.
	MaxMessages int
	// KeepLazy remembers what an undone lazy change would leave, for Crash.
	KeepLazy bool
}

// NewModel returns an empty Model; at most one ModelOptions is looked at.
func NewModel(o ...ModelOptions) *Model {
	m := &Model{state: newState()}
	if len(o) > 0 {
		m.o = o[0]
	}
	m.init()
	return m
}

func (m *Model) init() {
	if m.o.MaxClaims == 0 {
		m.o.MaxClaims = 3
	}
	if m.o.Retention == 0 {
		m.o.Retention = 72 * time.Hour
	}
	m.clock = m.o.Clock
	if m.clock == nil {
		m.clock = systemClock{}
	}
	m.changed = make(chan struct{})
	m.leases = map[queue.Token]*lease{}
	m.served = map[string]uint64{}
	m.snapshots = map[string][]queue.Item{}
}

// enter locks the model, refuses when it is closed, and lets what time has
// ended end. The caller unlocks with leave, also after an error.
func (m *Model) enter() (time.Time, error) {
	m.mu.Lock()
	now := m.clock.Now()
	if m.closed {
		return now, queue.ErrUnavailable
	}
	m.tick(now)
	return now, nil
}

// leave gives bulk jobs their turn and unlocks.
func (m *Model) leave() {
	if !m.closed {
		m.runJobs(m.clock.Now())
	}
	m.mu.Unlock()
}

// wake tells everybody who waits that something changed.
func (m *Model) wake() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// durable marks a change as synced (then nothing before it can be undone) or,
// when lazy, remembers the state before it. Call it before the change is made.
func (m *Model) durable(lazy bool) {
	switch {
	case !lazy:
		m.undo = nil
	case m.o.KeepLazy:
		m.undo = append(m.undo, m.state.survivors())
	}
}

// Close ends the model; every method answers ErrUnavailable from now on.
func (m *Model) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.closed = true
		m.wake()
	}
	return nil
}

// Health of a model is good until it is closed or full.
func (m *Model) Health(context.Context) queue.Health {
	_, err := m.enter()
	defer m.leave()
	if err != nil {
		return queue.Health{Reason: "closing"}
	}
	if m.full() {
		return queue.Health{Reason: "queue_full", Writable: true}
	}
	return queue.Health{Ready: true, Writable: true}
}

func (m *Model) full() bool {
	return m.o.MaxMessages > 0 && len(m.state.items) >= m.o.MaxMessages
}

// Lazy is how many changes a crash could undo now.
func (m *Model) Lazy() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.undo)
}

// Crash closes the model and returns what would be found after a power cut that
// undid the last lost lazy changes (0 to Lazy): no leases, nothing staged,
// nothing half made.
func (m *Model) Crash(lost int) *Model {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.closed = true
		m.wake()
	}
	s := m.state.survivors()
	if lost > 0 {
		s = m.undo[len(m.undo)-lost].survivors()
	}
	next := &Model{o: m.o, state: s}
	next.init()
	return next
}

// newToken is never given out twice, also not after a crash.
func (m *Model) newToken() queue.Token {
	tokens.Lock()
	defer tokens.Unlock()
	tokens.n++
	return queue.Token(fmt.Sprintf("lease-%d", tokens.n))
}

// tokens outlives every model: a token of a crashed one must not come back.
var tokens struct {
	sync.Mutex
	n uint64
}
