package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mtad/internal/events"
	"mtad/internal/events/eventstest"
	"mtad/internal/webhook"
	"mtad/queue"
)

// receiver takes what is sent to it.
type receiver struct {
	*httptest.Server
	got chan events.Event

	mu     sync.Mutex
	answer func(n int, e events.Event, w http.ResponseWriter) // n: requests so far
	n      int
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{got: make(chan events.Event, 10_000)}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	var e events.Event
	if json.Unmarshal(body, &e) != nil || e.ID != q.Header.Get("webhook-id") {
		e.ID = "damaged: " + string(body)
	}
	r.mu.Lock()
	n, answer := r.n, r.answer
	r.n++
	r.mu.Unlock()
	r.got <- e
	if answer != nil {
		answer(n, e, w)
	}
}

func (r *receiver) set(f func(int, events.Event, http.ResponseWriter)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
}

// patience bounds what has to come.
const patience = 30 * time.Second

func (r *receiver) next(t *testing.T) events.Event {
	t.Helper()
	select {
	case e := <-r.got:
		return e
	case <-time.After(patience):
		t.Fatal("nothing was sent")
		panic("")
	}
}

func target(r *receiver) webhook.Target {
	s, _ := webhook.ParseSecrets([]byte(webhook.NewSecret()))
	return webhook.Target{Name: "t", URL: r.URL, Secrets: s, AllowPrivate: true, AllowPlaintext: true, MaxBackoff: 5 * time.Millisecond, Lifetime: 100 * 365 * 24 * time.Hour}
}

type rig struct {
	*webhook.Sender
	stop func()
}

func run(t *testing.T, tape *eventstest.Tape, dir string, targets ...webhook.Target) *rig {
	t.Helper()
	s, err := webhook.New(webhook.Options{Queue: tape, Directory: dir, MinBackoff: time.Millisecond, SaveTime: 5 * time.Millisecond, Window: 16}, targets)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Run(ctx)
	}()
	g := &rig{s, func() { cancel(); <-done }}
	t.Cleanup(g.stop)
	return g
}

// until waits for what the state of the first target has to become.
func (g *rig) until(t *testing.T, what string, ok func(webhook.Status) bool) webhook.Status {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if st := g.Status(); len(st) > 0 && ok(st[0]) {
			return st[0]
		}
	}
	t.Fatalf("never %s: %+v", what, g.Status())
	panic("")
}

func id(n uint64) queue.ID { return queue.IDFromBits(n, 0) }

// fromStart puts a target's place before everything.
func fromStart(t *testing.T, g *rig) {
	t.Helper()
	g.until(t, "there", func(s webhook.Status) bool { return s.State == webhook.Running })
	if err := g.Replay(t.Context(), "t", events.Position{Since: time.Unix(1, 0)}); err != nil {
		t.Fatal(err)
	}
}

func TestEveryEventIsSentOnceWhenAllGoesWell(t *testing.T) {
	tape, r := eventstest.NewTape(), newReceiver(t)
	g := run(t, tape, t.TempDir(), target(r))
	fromStart(t, g)
	for n := range uint64(100) {
		tape.Add(queue.EventAccepted, id(n%7))
	}
	seen := map[string]bool{}
	for range 100 {
		e := r.next(t)
		if e.Type != events.Accepted || seen[e.ID] {
			t.Fatalf("event %+v", e)
		}
		seen[e.ID] = true
	}
	g.until(t, "all taken", func(s webhook.Status) bool { return s.Delivered == 100 && s.Pending == 0 && s.Lag == 0 })
}

func TestEventsOfAMessageComeInOrderThroughFailures(t *testing.T) {
	tape, r := eventstest.NewTape(), newReceiver(t)
	var mu sync.Mutex
	taken := map[string][]time.Time{}
	r.set(func(n int, e events.Event, w http.ResponseWriter) {
		if n%3 == 0 {
			w.WriteHeader(500)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		taken[e.Message.QueueID] = append(taken[e.Message.QueueID], e.Time)
	})
	g := run(t, tape, t.TempDir(), target(r))
	fromStart(t, g)
	for n := range uint64(90) {
		tape.Add(queue.EventAccepted, id(n%5))
	}
	g.until(t, "all taken", func(s webhook.Status) bool { return s.Delivered == 90 })
	mu.Lock()
	defer mu.Unlock()
	for m, times := range taken {
		for i := 1; i < len(times); i++ {
			if !times[i].After(times[i-1]) {
				t.Errorf("%s: events out of order: %v", m, times)
			}
		}
	}
}

func TestNothingIsMissedOverAnyNumberOfRestarts(t *testing.T) {
	tape, r, dir := eventstest.NewTape(), newReceiver(t), t.TempDir()
	tg := target(r)
	g := run(t, tape, dir, tg)
	fromStart(t, g)
	const all = 60
	got := map[string]bool{}
	collect := func() {
		for {
			select {
			case e := <-r.got:
				got[e.ID] = true
			default:
				return
			}
		}
	}
	for n := range uint64(all) {
		tape.Add(queue.EventAccepted, id(n))
		if n%10 == 9 {
			r.next(t) // it is in the middle of it
			g.stop()
			g = run(t, tape, dir, tg)
		}
	}
	g.until(t, "at the end", func(s webhook.Status) bool { return strings.HasSuffix(s.Position.After, "c000060") })
	collect()
	// What next took was seen too, but not counted: replay tells what there is.
	fromStart(t, g)
	g.until(t, "at the end again", func(s webhook.Status) bool { return strings.HasSuffix(s.Position.After, "c000060") && s.Pending == 0 })
	collect()
	if len(got) != all {
		t.Errorf("%d of %d events came", len(got), all)
	}
}

func TestAPlaceBeforeTheFirstEventIsKept(t *testing.T) {
	tape, r, dir := eventstest.NewTape(), newReceiver(t), t.TempDir()
	tape.Add(queue.EventAccepted, id(1)) // before the webhook was there
	tape.Events[0].At = time.Now().Add(-time.Hour)
	g := run(t, tape, dir, target(r))
	g.until(t, "there", func(s webhook.Status) bool { return s.State == webhook.Running })
	g.stop()
	tape.Add(queue.EventHeld, id(2)) // while nobody listens
	tape.Events[1].At = time.Now()
	run(t, tape, dir, target(r))
	if e := r.next(t); e.Type != events.Held {
		t.Errorf("event %+v", e)
	}
}

func TestATargetThatIsGoneGetsNothingUntilAReplay(t *testing.T) {
	tape, r, dir := eventstest.NewTape(), newReceiver(t), t.TempDir()
	r.set(func(_ int, _ events.Event, w http.ResponseWriter) { w.WriteHeader(410) })
	g := run(t, tape, dir, target(r))
	fromStart(t, g)
	tape.Add(queue.EventAccepted, id(1))
	g.until(t, "stopped", func(s webhook.Status) bool { return s.State == webhook.Stopped && s.Reason != "" })
	g.stop()
	r.next(t)
	g = run(t, tape, dir, target(r)) // it stays so
	g.until(t, "stopped", func(s webhook.Status) bool { return s.State == webhook.Stopped })
	r.set(nil)
	if err := g.Replay(t.Context(), "t", events.Position{Since: time.Unix(1, 0)}); err != nil {
		t.Fatal(err)
	}
	if e := r.next(t); e.Message.QueueID != string(id(1)) {
		t.Errorf("event %+v", e)
	}
	g.until(t, "running", func(s webhook.Status) bool { return s.State == webhook.Running && s.Delivered == 1 })
}

func TestASlowTargetHoldsUpNobodyAndIsBounded(t *testing.T) {
	tape, slow, fast := eventstest.NewTape(), newReceiver(t), newReceiver(t)
	hang := make(chan struct{})
	slow.set(func(int, events.Event, http.ResponseWriter) { <-hang })
	defer close(hang)
	a, b := target(slow), target(fast)
	a.Name, b.Name, a.Timeout = "a", "b", time.Hour
	g := run(t, tape, t.TempDir(), a, b)
	g.until(t, "there", func(s webhook.Status) bool { return s.State == webhook.Running })
	for _, name := range []string{"a", "b"} {
		if err := g.Replay(t.Context(), name, events.Position{Since: time.Unix(1, 0)}); err != nil {
			t.Fatal(err)
		}
	}
	for n := range uint64(200) {
		tape.Add(queue.EventAccepted, id(n))
	}
	for range 200 {
		fast.next(t)
	}
	st := g.until(t, "full", func(s webhook.Status) bool { return s.Pending == 16 })
	if len(slow.got) > 4 {
		t.Errorf("%d events under way to the slow one: %+v", len(slow.got), st)
	}
}

func TestAnOldEventIsGivenUpAndCounted(t *testing.T) {
	tape, r := eventstest.NewTape(), newReceiver(t)
	r.set(func(_ int, e events.Event, w http.ResponseWriter) {
		if e.Message.QueueID == string(id(1)) {
			w.WriteHeader(400)
		}
	})
	tg := target(r)
	tg.Lifetime = time.Minute // the tape's events are years old
	g := run(t, tape, t.TempDir(), tg)
	fromStart(t, g)
	tape.Add(queue.EventAccepted, id(1))
	tape.Add(queue.EventAccepted, id(2))
	g.until(t, "past it", func(s webhook.Status) bool { return s.Dropped == 1 && s.Delivered == 1 && s.Pending == 0 })
}

func TestAGapIsToldToATarget(t *testing.T) {
	tape, r, dir := eventstest.NewTape(), newReceiver(t), t.TempDir()
	g := run(t, tape, dir, target(r))
	fromStart(t, g)
	tape.Add(queue.EventAccepted, id(1))
	first := r.next(t)
	g.until(t, "taken", func(s webhook.Status) bool { return s.Delivered == 1 })
	g.stop()
	for n := range uint64(5) {
		tape.Add(queue.EventAccepted, id(n))
	}
	tape.Forget(4)
	g = run(t, tape, dir, target(r))
	var gap *events.GapInfo
	for range 3 {
		if e := r.next(t); e.Type == events.Gap {
			gap = e.Gap
		}
	}
	if gap == nil || gap.After != first.ID {
		t.Errorf("gap %+v", gap)
	}
	g.until(t, "counted", func(s webhook.Status) bool { return s.Gaps == 1 })
}

func TestTypesThatAreNotWantedPass(t *testing.T) {
	tape, r := eventstest.NewTape(), newReceiver(t)
	tg := target(r)
	tg.Types = []events.Type{events.Held}
	g := run(t, tape, t.TempDir(), tg)
	fromStart(t, g)
	tape.Add(queue.EventAccepted, id(1))
	tape.Add(queue.EventHeld, id(1))
	tape.Add(queue.EventSplit, id(1))
	if e := r.next(t); e.Type != events.Held {
		t.Errorf("event %+v", e)
	}
	g.until(t, "past all", func(s webhook.Status) bool { return strings.HasSuffix(s.Position.After, "c000003") })
}

func TestADamagedPlaceGetsEverythingThatIsKept(t *testing.T) {
	tape, r, dir := eventstest.NewTape(), newReceiver(t), t.TempDir()
	tape.Add(queue.EventAccepted, id(1))
	if err := os.WriteFile(filepath.Join(dir, "t.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, tape, dir, target(r))
	if e := r.next(t); e.Message.QueueID != string(id(1)) {
		t.Errorf("event %+v", e)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	inner, r := newReceiver(t), newReceiver(t)
	r.set(func(_ int, _ events.Event, w http.ResponseWriter) {
		w.Header().Set("Location", inner.URL)
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	g := run(t, eventstest.NewTape(), t.TempDir(), target(r))
	g.until(t, "there", func(s webhook.Status) bool { return s.State == webhook.Running })
	a, err := g.Test(t.Context(), "t")
	if err != nil || a.Status != 307 || a.Error == "" || len(inner.got) != 0 {
		t.Errorf("attempt %+v, %v; %d arrived behind it", a, err, len(inner.got))
	}
}

func TestPrivateAddressesAreRefusedHoweverTheyAreNamed(t *testing.T) {
	r := newReceiver(t)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(r.URL, "http://"))
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0", "0.0.0.0", "2130706433", "0x7f000001", "127.1", "[::1]", "[::]"} {
		tg := target(r)
		tg.URL, tg.AllowPrivate = "http://"+host+":"+port+"/", false
		g := run(t, eventstest.NewTape(), t.TempDir(), tg)
		g.until(t, "there", func(s webhook.Status) bool { return s.State == webhook.Running })
		a, err := g.Test(t.Context(), "t")
		if err != nil || a.Error == "" || a.Status != 0 {
			t.Errorf("%s: %+v, %v", host, a, err)
		}
		g.stop()
	}
	if len(r.got) != 0 {
		t.Errorf("%d requests went through", len(r.got))
	}
}

func TestProxiesOfTheEnvironmentAreNotUsed(t *testing.T) {
	proxy, r := newReceiver(t), newReceiver(t)
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	g := run(t, eventstest.NewTape(), t.TempDir(), target(r))
	g.until(t, "there", func(s webhook.Status) bool { return s.State == webhook.Running })
	if a, err := g.Test(t.Context(), "t"); err != nil || a.Status != 200 || len(proxy.got) != 0 {
		t.Errorf("attempt %+v, %v; the proxy got %d", a, err, len(proxy.got))
	}
}

func TestAnEndlessAnswerIsCutOff(t *testing.T) {
	r := newReceiver(t)
	r.set(func(_ int, _ events.Event, w http.ResponseWriter) {
		for range 1000 { // 64 MB, were it read
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	g := run(t, eventstest.NewTape(), t.TempDir(), target(r))
	g.until(t, "there", func(s webhook.Status) bool { return s.State == webhook.Running })
	if a, err := g.Test(t.Context(), "t"); err != nil || a.Status != 200 || a.Error != "" {
		t.Errorf("attempt %+v, %v", a, err)
	}
}

func TestTargetsAreReplacedWhileRunning(t *testing.T) {
	tape, first, second, dir := eventstest.NewTape(), newReceiver(t), newReceiver(t), t.TempDir()
	tg := target(first)
	g := run(t, tape, dir, tg)
	fromStart(t, g)
	tape.Add(queue.EventAccepted, id(1))
	first.next(t)
	g.until(t, "taken", func(s webhook.Status) bool { return s.Delivered == 1 })
	tg.URL = second.URL
	if err := g.Set([]webhook.Target{tg}); err != nil {
		t.Fatal(err)
	}
	tape.Add(queue.EventHeld, id(1))
	if e := second.next(t); e.Type != events.Held {
		t.Errorf("the new URL gets %+v, want what the old one did not have", e)
	}
	if err := g.Set(nil); err != nil || len(g.Status()) != 0 {
		t.Errorf("%v, %+v", err, g.Status())
	}
	if _, err := g.Test(t.Context(), "t"); !errors.Is(err, webhook.ErrNoTarget) {
		t.Errorf("test of none: %v", err)
	}
}
