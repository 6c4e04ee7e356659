package app_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mtad/internal/app"
	"mtad/internal/config"
	"mtad/queue"
)

const plain = `
listeners:
  smtp: {address: "127.0.0.1:0"}
api: {listen: ["127.0.0.1:0"]}
`

func TestSecondProcessOnTheSpoolIsRefused(t *testing.T) {
	dir := t.TempDir()
	start(t, read(t, dir, plain))
	_, err := app.New(t.Context(), read(t, dir, plain), app.Options{Log: io.Discard})
	if !errors.Is(err, app.ErrSpoolBusy) || !strings.Contains(err.Error(), "(process ") {
		t.Errorf("got %v, want that another process has it, and which", err)
	}
}

func TestVolatileSpoolIsRefusedUnlessAllowed(t *testing.T) {
	const shm = "/dev/shm"
	dir, err := os.MkdirTemp(shm, "mtad-test-")
	if err != nil {
		t.Skip("no tmpfs to try it on")
	}
	defer os.RemoveAll(dir)
	text := plain + "spool: {directory: " + dir + "/spool, free_floor: 1M, ballast: 0}\n"
	cfg, err := config.Parse(filepath.Join(dir, "m.yaml"), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.New(t.Context(), cfg, app.Options{Log: io.Discard}); !errors.Is(err, app.ErrVolatile) {
		t.Fatalf("got %v, want that it would not survive a restart", err)
	}
	cfg.Spool.AllowVolatile = true
	a, _ := start(t, cfg)
	if got := gauge(t, a, "mtad_unsafe_setting"); got != 1 {
		t.Errorf("mtad_unsafe_setting is %v, want 1", got)
	}
}

func TestUnsyncedStoreIsShown(t *testing.T) {
	cfg := read(t, t.TempDir(), plain)
	cfg.Spool.AllowUnsynced = true
	a, _ := start(t, cfg)
	if h := a.Queue().Health(t.Context()); len(h.Unsafe) == 0 {
		t.Error("a store without sync does not show in Health")
	}
}

func TestSpoolThatOthersMayWriteToIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/spool", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir+"/spool", 0o770); err != nil {
		t.Fatal(err)
	}
	if _, err := app.New(t.Context(), read(t, dir, plain), app.Options{Log: io.Discard}); err == nil || !strings.Contains(err.Error(), "chmod go-w") {
		t.Errorf("got %v", err)
	}
}

// A port that is taken is an error of New, and nothing stays behind.
func TestPortInUseIsAnErrorThatLeavesNothing(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dir := t.TempDir()
	text := strings.Replace(plain, "127.0.0.1:0", ln.Addr().String(), 1)
	if _, err := app.New(t.Context(), read(t, dir, text), app.Options{Log: io.Discard}); err == nil || !strings.Contains(err.Error(), "listener smtp") {
		t.Fatalf("got %v, want the listener's name", err)
	}
	start(t, read(t, dir, plain))
}

func TestClockBeforeTheNewestRecordIsRefusedUnlessAllowed(t *testing.T) {
	dir := t.TempDir()
	a, err := app.New(t.Context(), read(t, dir, plain), app.Options{Log: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	a.Start()
	dial(t, a.Addr("smtp").String()).send(250, "a@example.org", "alice@mx.test", message)
	if err := a.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	past := app.Options{Log: io.Discard, Now: func() time.Time { return time.Now().Add(-24 * time.Hour) }}
	if _, err := app.New(t.Context(), read(t, dir, plain), past); err == nil || !strings.Contains(err.Error(), "spool.allow_old_clock") {
		t.Errorf("got %v, want the word that allows it", err)
	}
	cfg := read(t, dir, plain)
	cfg.Spool.AllowOldClock = true
	a, err = app.New(t.Context(), cfg, past)
	if err != nil {
		t.Fatal(err)
	}
	if h := a.Queue().Health(t.Context()); len(h.Unsafe) == 0 {
		t.Error("an old clock does not show in Health")
	}
	a.Start()
	if err := a.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestLocalMailIsInTheMaildir(t *testing.T) {
	dir := t.TempDir()
	a, _ := start(t, read(t, dir, plain))
	_, id := dial(t, a.Addr("smtp").String()).send(250, "a@example.org", "alice@mx.test", message)
	finished(t, a.Queue(), queue.ID(id))
	files, err := filepath.Glob(dir + "/spool/mail/alice/new/*")
	if err != nil || len(files) != 1 {
		t.Fatalf("got %v, %v; want one file", files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil || !strings.HasSuffix(string(b), strings.ReplaceAll(message, "\r\n", "\n")) {
		t.Errorf("got %q, %v", b, err)
	}
}

// RFC 5321 §4.5.1: there is always a postmaster.
func TestPostmasterAlwaysHasAMailbox(t *testing.T) {
	for _, text := range []string{"local_domains: []\n", "local: {mailboxes: [alice]}\n", "local_domains: [example.org]\nsmarthost: '[127.0.0.1]:1'\n"} {
		dir := t.TempDir()
		a, _ := start(t, read(t, dir, plain+text))
		_, id := dial(t, a.Addr("smtp").String()).send(250, "a@example.org", "Postmaster", message)
		finished(t, a.Queue(), queue.ID(id))
		if files, err := filepath.Glob(dir + "/spool/mail/*/new/*"); err != nil || len(files) != 1 {
			t.Errorf("%s: got %v, %v; want one file", text, files, err)
		}
	}
}

// A stop tells a client that waits for nothing 421, and lets one that is within
// a message finish it.
func TestStopDrains(t *testing.T) {
	a, err := app.New(t.Context(), read(t, t.TempDir(), plain), app.Options{Log: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	a.Start()
	idle, busy := dial(t, a.Addr("smtp").String()), dial(t, a.Addr("smtp").String())
	busy.do(250, "MAIL FROM:<a@example.org>")
	busy.do(250, "RCPT TO:<alice@mx.test>")
	busy.do(354, "DATA")
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		stopped <- a.Stop(ctx)
	}()
	idle.expect(421)
	if err := busy.c.PrintfLine("Subject: x\r\n\r\ntext\r\n."); err != nil {
		t.Fatal(err)
	}
	busy.expect(250)
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
	if _, err := textproto.Dial("tcp", a.Addr("smtp").String()); err == nil {
		t.Error("a stopped mtad still answers")
	}
}

// A stop is bounded: who does not come to an end is cut off.
func TestStopIsBounded(t *testing.T) {
	a, err := app.New(t.Context(), read(t, t.TempDir(), plain), app.Options{Log: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	a.Start()
	busy := dial(t, a.Addr("smtp").String())
	busy.do(250, "MAIL FROM:<a@example.org>")
	busy.do(250, "RCPT TO:<alice@mx.test>")
	busy.do(354, "DATA")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Stop(ctx); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("got %v, want that a session was cut off", err)
	}
	if h := a.Queue().Health(t.Context()); h.Ready {
		t.Error("the store is still open")
	}
}

func gauge(t *testing.T, a *app.App, name string) float64 {
	t.Helper()
	families, err := a.Metrics().Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.Metric {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return sum
}
