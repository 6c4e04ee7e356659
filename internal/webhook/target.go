package webhook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"mtad/internal/events"
)

// target sends to one receiver. run is its only sender; the rest is for everybody.
type target struct {
	o      Options
	t      Target
	client *client
	choice events.Choice
	path   string
	log    *slog.Logger
	orders chan order

	mu    sync.Mutex
	stats Status
	saved state // as it is on disk, or should be
	clean bool  // saved is on disk
}

// order asks run to go on elsewhere.
type order struct {
	at   events.Position
	done chan error
}

func newTarget(o Options, t Target) (*target, error) {
	t = t.withDefaults()
	c, err := newClient(t, o.Now)
	if err != nil {
		return nil, err
	}
	return &target{
		o: o, t: t, client: c, choice: events.Choice{Types: t.Types}, orders: make(chan order),
		path: filepath.Join(o.Directory, t.Name+".json"), log: o.Logger.With("webhook", t.Name),
		stats: Status{Name: t.Name, URL: shown(t.URL), Types: t.Types, State: Starting},
	}, nil
}

// run sends until ctx ends. A target that stopped waits for a replay.
func (t *target) run(ctx context.Context) {
	defer t.client.close()
	t.begin()
	for ctx.Err() == nil {
		at, stopped := t.place()
		if stopped {
			t.idle(ctx)
			continue
		}
		s := session{target: t, win: newWindow(at), results: make(chan answer), retry: t.o.MinBackoff}
		s.run(ctx)
		t.save()
	}
	t.save()
}

// begin reads what was kept. Without that a target begins now: what happens from
// here on is told, also when mtad is killed at once.
func (t *target) begin() {
	s, ok, err := readState(t.path)
	if err != nil {
		t.log.Error("the place of the webhook cannot be read: it gets all events that are kept", "file", t.path, "error", err)
		s = state{Position: events.Position{Since: time.Unix(1, 0)}}
	}
	if s.URL != t.urlHash() {
		s.Stopped = ""
	}
	s.URL = t.urlHash()
	if s.Position == (events.Position{}) {
		s.Position.Since = t.o.Now()
	}
	t.mu.Lock()
	t.saved, t.clean = s, false
	t.mu.Unlock()
	if !ok || err != nil {
		t.save()
	}
}

func (t *target) urlHash() string {
	h := sha256.Sum256([]byte(t.t.URL))
	return hex.EncodeToString(h[:8])
}

func (t *target) place() (events.Position, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.saved.Position, t.saved.Stopped != ""
}

// idle waits for an order.
func (t *target) idle(ctx context.Context) {
	t.set(func(s *Status) { s.State, s.Pending, s.oldest = Stopped, 0, time.Time{} })
	t.save()
	select {
	case o := <-t.orders:
		t.obey(o)
	case <-ctx.Done():
	}
}

// obey moves the place; it is on disk before the one who asked is answered.
func (t *target) obey(o order) {
	t.mu.Lock()
	t.saved.Position, t.saved.Stopped, t.clean = o.at, "", false
	t.mu.Unlock()
	o.done <- t.save()
}

// moved notes a new place; save writes it.
func (t *target) moved(at events.Position) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.saved.Position != at {
		t.saved.Position, t.clean = at, false
	}
}

func (t *target) stop(reason string) {
	t.mu.Lock()
	t.saved.Stopped, t.clean = reason, false
	t.mu.Unlock()
	t.log.Error("webhook stopped", "reason", reason)
}

// save writes the place when it has changed. One that cannot be written costs
// repetitions after a crash and nothing else.
func (t *target) save() error {
	t.mu.Lock()
	s, clean := t.saved, t.clean
	t.mu.Unlock()
	if clean {
		return nil
	}
	s.At = t.o.Now().UTC()
	err := writeState(t.path, s)
	if err != nil {
		t.log.Warn("the place of the webhook is not written", "error", err)
		return err
	}
	t.mu.Lock()
	if s.Position == t.saved.Position && s.Stopped == t.saved.Stopped {
		t.clean = true
	}
	t.mu.Unlock()
	return nil
}

func (t *target) set(f func(*Status)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.stats)
}
