package app_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mtad/internal/filter/scannertest"
	"mtad/internal/webhook"
	"mtad/queue"
)

// pythonReceiver is the program of docs/events.md.
func pythonReceiver(t *testing.T, dir string) string {
	t.Helper()
	doc, err := os.ReadFile("../../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "```python\n")
	program, _, ok := strings.Cut(rest, "```\n")
	if !ok {
		t.Fatal("docs/events.md has no program")
	}
	file := filepath.Join(dir, "receiver.py")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// heard is what receivers printed: ID, type, queue ID and recipient of events.
type heard struct {
	mu   sync.Mutex
	all  map[string]int // lines without the ID
	news chan struct{}
}

func (h *heard) count(line string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all[line]
}

// receive starts the receiver.
func (h *heard) receive(t *testing.T, file, addr, secret string) (kill func()) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 here")
	}
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command(python, file, port, secret)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		<-read // all that it printed
		_ = cmd.Wait()
	})
	t.Cleanup(kill)
	go func() {
		defer close(read)
		for s := bufio.NewScanner(out); s.Scan(); {
			_, line, _ := strings.Cut(s.Text(), " ")
			h.mu.Lock()
			h.all[line]++
			h.mu.Unlock()
			select {
			case h.news <- struct{}{}:
			default:
			}
		}
	}()
	return kill
}

// mtad and the receiver are killed with SIGKILL again and again under load. In the
// end the receiver has every event that the queue's history has.
func TestWebhooksMissNoEventThroughKills(t *testing.T) {
	dir, next := t.TempDir(), newSink(t)
	addr := scannertest.FreeAddr(t)
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte(webhook.NewSecret()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := relayConfig(next.addr) + fmt.Sprintf(`
spool: {directory: %s/spool, allow_volatile: true, free_floor: 1M, ballast: 0}
webhooks:
  py: {url: "http://%s/", secret_file: %s, allow_private: true, allow_plaintext: true, max_backoff: 1s}
`, dir, addr, secret)
	text = strings.ReplaceAll(text, "min_backoff: 1h, max_backoff: 2h", "min_backoff: 1s, max_backoff: 1s")
	file := filepath.Join(dir, "mtad.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	go func() { // the sink's mail is of no interest
		for range next.got {
		}
	}()
	program, h := pythonReceiver(t, dir), &heard{all: map[string]int{}, news: make(chan struct{}, 1)}
	for round := range 3 {
		kill := h.receive(t, program, addr, secret)
		p := spawn(t, file)
		load(p, round)
		p.kill(t)
		kill() // in the middle of what it was told
	}
	h.receive(t, program, addr, secret)
	a, _ := startFile(t, file)
	want := told(t, a.Queue())
	t.Logf("%d events", len(want))
	if len(want) < 100 {
		t.Fatal("too few for the test to say anything")
	}
	limit := time.After(2 * time.Minute)
	for line := range want {
		for h.count(line) == 0 {
			select {
			case <-h.news:
			case <-limit:
				t.Fatalf("never told: %s", line)
			}
		}
	}
}

// told are the events that the queue keeps, as a receiver prints them, once nothing
// is left to do.
func told(t *testing.T, q queue.Queue) map[string]bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		tally, err := q.Count(ctx, queue.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		if tally.Messages == 0 {
			break
		}
		<-tick.C
	}
	last := marker(t, q)
	s, err := q.Watch(ctx, queue.Since(time.Time{}))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out := map[string]bool{}
	for {
		e, err := s.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		switch e.Kind {
		case queue.EventAccepted:
			out["accepted "+string(e.ID)+" -"] = true
		case queue.EventDelivered:
			out["delivered "+string(e.ID.Message())+" "+e.Recipient] = true
		}
		if e.ID == last {
			return out
		}
	}
}

// marker puts a held message into the queue: its first event is the last of all.
func marker(t *testing.T, q queue.Queue) queue.ID {
	t.Helper()
	w, err := q.Create(t.Context(), queue.Envelope{Recipients: []queue.Recipient{{Path: "marker@example.net"}}},
		queue.CreateOptions{Hold: &queue.Hold{By: "operator:test", Reason: "marker"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(message)); err != nil {
		t.Fatal(err)
	}
	it, err := w.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return it.ID
}
