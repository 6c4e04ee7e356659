package webhook

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"mtad/internal/events"
)

// ErrNoTarget is returned for a name that no target has.
var ErrNoTarget = errors.New("webhook: no such target")

// Sender sends to all targets. Its methods are safe for concurrent use.
type Sender struct {
	o Options

	mu      sync.Mutex
	ctx     context.Context // of Run; nil before
	running map[string]*running
	targets []Target
	wg      sync.WaitGroup
}

type running struct {
	*target
	cancel context.CancelFunc
	done   chan struct{}
}

// New makes a Sender. It sends nothing before Run.
func New(o Options, targets []Target) (*Sender, error) {
	s := &Sender{o: o.withDefaults(), running: map[string]*running{}}
	if err := check(targets); err != nil {
		return nil, err
	}
	s.targets = slices.Clone(targets)
	return s, nil
}

func check(targets []Target) error {
	seen := map[string]bool{}
	for _, t := range targets {
		if t.Name == "" || strings.ContainsAny(t.Name, "/\x00") || t.Name[0] == '.' || seen[t.Name] {
			return fmt.Errorf("webhook: a target may not be named %q", t.Name)
		}
		seen[t.Name] = true
		c, err := newClient(t, time.Now)
		if err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
		c.close()
	}
	return nil
}

// Run sends until ctx ends; what is under way then is broken off, and sent again
// by the next Run.
func (s *Sender) Run(ctx context.Context) error {
	s.mu.Lock()
	s.ctx = ctx
	targets := s.targets
	s.mu.Unlock()
	if len(targets) > 0 {
		s.apply(targets)
	}
	<-ctx.Done()
	s.mu.Lock()
	s.ctx = nil
	s.mu.Unlock()
	s.wg.Wait()
	return ctx.Err()
}

// Set replaces the targets. One that did not change goes on undisturbed; one
// that did goes on from its place.
func (s *Sender) Set(targets []Target) error {
	if err := check(targets); err != nil {
		return err
	}
	s.apply(slices.Clone(targets))
	return nil
}

func (s *Sender) apply(targets []Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.targets = targets
	if s.ctx == nil {
		return
	}
	if len(targets) > 0 {
		if err := os.MkdirAll(s.o.Directory, 0o700); err != nil {
			s.o.Logger.Error("no directory for webhooks", "error", err)
		}
		if len(s.running) == 0 {
			dropTemps(s.o.Directory)
		}
	}
	for name, r := range s.running {
		i := slices.IndexFunc(targets, func(t Target) bool { return t.Name == name })
		if i < 0 || !reflect.DeepEqual(targets[i].withDefaults(), r.t) {
			r.cancel()
			<-r.done // before another one has its file
			delete(s.running, name)
		}
	}
	for _, t := range targets {
		if s.running[t.Name] == nil {
			s.start(t)
		}
	}
}

func (s *Sender) start(t Target) {
	made, err := newTarget(s.o, t)
	if err != nil { // checked before
		s.o.Logger.Error("webhook cannot be started", "webhook", t.Name, "error", err)
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	r := &running{target: made, cancel: cancel, done: make(chan struct{})}
	s.running[t.Name] = r
	s.wg.Go(func() {
		defer close(r.done)
		r.run(ctx)
	})
}

// Status returns the state of every target, by name.
func (s *Sender) Status() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now()
	var out []Status
	for _, r := range s.running {
		out = append(out, r.status(now))
	}
	slices.SortFunc(out, func(a, b Status) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (s *Sender) find(name string) (*running, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.running[name]; r != nil {
		return r, nil
	}
	return nil, ErrNoTarget
}

// Replay makes a target go on from another place: what was sent since is sent
// again. A target that had stopped begins anew. The place is durable when it
// returns.
func (s *Sender) Replay(ctx context.Context, name string, at events.Position) error {
	if _, err := at.Cursor(); err != nil {
		return err
	}
	r, err := s.find(name)
	if err != nil {
		return err
	}
	o := order{at: at, done: make(chan error, 1)}
	select {
	case r.orders <- o:
		return <-o.done
	case <-r.done:
		return ErrNoTarget
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Attempt is how a test ended.
type Attempt struct {
	ID     string
	Status int // 0: there was no answer
	Error  string
	Took   time.Duration
}

// Test sends an event of type test, once, past everything that waits.
func (s *Sender) Test(ctx context.Context, name string) (Attempt, error) {
	r, err := s.find(name)
	if err != nil {
		return Attempt{}, err
	}
	var b [12]byte
	rand.Read(b[:])
	e := events.Event{ID: "test-" + hex.EncodeToString(b[:]), Type: events.Test, Time: s.o.Now().UTC().Round(time.Millisecond)}
	body, err := json.Marshal(e)
	if err != nil {
		return Attempt{}, err
	}
	res := r.client.send(ctx, e.ID, bytes.TrimSpace(body))
	a := Attempt{ID: e.ID, Status: res.status, Took: res.took}
	if res.err != nil {
		a.Error = cut(res.err.Error())
	}
	return a, nil
}
