package execfilter

import (
	"context"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/queue"
	"mtad/queue/queuetest"
)

func TestMain(m *testing.M) {
	Launch()
	os.Exit(m.Run())
}

// trial is one message that went through a program.
type trial struct {
	t       *testing.T
	q       queue.Queue
	verdict filterproto.Verdict
	err     error        // of Scan
	items   []queue.Item // as judged
	log     string
}

const ham = "Subject: one\r\nFrom: a@example.org\r\n\r\nan ordinary\r\n.message\r\n"

const trace = "Received: from x (x [192.0.2.1])\r\n\tby mx.test with ESMTP id X; Sun, 22 Nov 2026 02:00:00 +0000\r\n"

// envelope has something for every attribute.
func envelope() queue.Envelope {
	return queue.Envelope{
		ReversePath: "a b;$(touch /tmp/x)`id`@example.org", EnvID: "env 1", Return: "HDRS",
		Recipients: []queue.Recipient{
			{Path: "b@example.net", Transport: "smtp", NextHop: "example.net", Notify: queue.NotifyFailure | queue.NotifyDelay, ORCPT: "rfc822;b@example.net"},
			{Path: "c@example.net", Transport: "smtp", NextHop: "example.net", Notify: queue.NotifyNever},
		},
		Client: queue.Client{
			Protocol: "ESMTPSA", Helo: "() { :;}; echo", Name: "unknown", Address: "2001:db8::1", Port: 1234, SASLUser: "alice", SASLMethod: "PLAIN",
			TLSProtocol: "TLSv1.3", TLSCipher: "TLS_AES_128_GCM_SHA256", TLSKeySize: 128,
		},
	}
}

// program is Options for a script that a real shell runs.
func program(script string) Options { return Options{Command: []string{"/bin/sh", "-c", script}} }

func python(script string) Options {
	return Options{Command: []string{"/usr/bin/python3", "-c", script}}
}

// try takes a message of a waiting client through a program, within limit.
func try(t *testing.T, o Options, content string, limit time.Duration) *trial {
	t.Helper()
	if _, err := os.Stat(o.Command[0]); err != nil {
		t.Skipf("%s is not installed", o.Command[0])
	}
	x := &trial{t: t, q: queuetest.NewModel()}
	var log text
	o.AllowRoot = true
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	kind := filter.KindFunc(func(ctx context.Context, m filter.Message) (filterproto.Verdict, error) {
		x.verdict, x.err = f.Scan(ctx, m)
		return x.verdict, x.err
	})
	failure := map[filter.Class]filter.Action{}
	for _, c := range filter.Classes {
		failure[c] = filter.Tempfail
	}
	e, err := filter.New(filter.Options{
		Queue:   x.q,
		Chains:  map[string]filter.Chain{"c": {Filters: []string{"f"}, Timing: filter.Inline}},
		Filters: map[string]filter.Definition{"f": {Kind: "exec", Scanner: kind, Timeout: limit, Failure: failure}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	w, err := x.q.Create(ctx, envelope(), queue.CreateOptions{Chain: "c", Stage: "f", Trace: func(queue.ID) []byte { return []byte(trace) }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Stage(ctx); err != nil {
		t.Fatal(err)
	}
	if x.items, err = w.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	if x.items[0].Outcome == nil {
		if _, err := w.Commit(ctx); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	x.log = log.String()
	t.Cleanup(func() { x.q.Close() })
	return x
}

func run1(t *testing.T, o Options) *trial {
	t.Helper()
	return try(t, o, ham, time.Minute)
}

// content is the current generation.
func (x *trial) content() string {
	x.t.Helper()
	c, err := x.q.Open(x.t.Context(), queue.OpenSpec{ID: x.items[0].ID, Generation: -1})
	if err != nil {
		x.t.Fatal(err)
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	if err != nil {
		x.t.Fatal(err)
	}
	return string(b)
}

// fails checks the class of a failure.
func (x *trial) fails(class filter.Class) {
	x.t.Helper()
	f, ok := x.err.(*filter.Failure)
	if class == filter.Timeout {
		if x.err != context.DeadlineExceeded {
			x.t.Errorf("got %v (%+v), want the end of its time", x.err, x.verdict)
		}
		return
	}
	if !ok || f.Class != class {
		x.t.Errorf("got %v (%+v), want class %s", x.err, x.verdict, class)
	}
}

// text is a buffer for several writers.
type text struct {
	mu sync.Mutex
	b  strings.Builder
}

func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}
