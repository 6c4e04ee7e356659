package milterfilter

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"mtad/internal/filter"
	"mtad/internal/milter"
	"mtad/internal/milter/miltertest"
	"mtad/queue"
	"mtad/queue/queuetest"
)

// rig is a filter engine over the model with milters in chain "c", in order.
type rig struct {
	t *testing.T
	q queue.Queue
}

// newRig makes milters m1, m2 … of addresses "unix:…" or "tcp:…".
func newRig(t *testing.T, on map[filter.Class]filter.Action, addresses ...string) *rig {
	t.Helper()
	return newRigDialing(t, nil, on, addresses...)
}

// dialer is milter.Options.Dial.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

func newRigDialing(t *testing.T, dial dialer, on map[filter.Class]filter.Action, addresses ...string) *rig {
	t.Helper()
	return newRigWith(t, nil, dial, on, addresses...)
}

func nameOf(i int) string { return "m" + string(rune('1'+i)) }

func newRigWith(t *testing.T, live *Live, dial dialer, on map[filter.Class]filter.Action, addresses ...string) *rig {
	t.Helper()
	var filters []*Filter
	for _, a := range addresses {
		network, address, _ := strings.Cut(a, ":")
		f, err := New(Options{Hostname: "mx.example.net", Live: live, Milter: milter.Options{Network: network, Address: address, Dial: dial}})
		if err != nil {
			t.Fatal(err)
		}
		filters = append(filters, f)
	}
	return newRigOf(t, on, filters...)
}

func newRigOf(t *testing.T, on map[filter.Class]filter.Action, filters ...*Filter) *rig {
	t.Helper()
	o := filter.Options{
		Chains: map[string]filter.Chain{}, Filters: map[string]filter.Definition{}, SweepInterval: 20 * time.Millisecond,
		Queue: queuetest.NewModel(queuetest.ModelOptions{MaxClaims: 1000}),
		Route: func(string) (string, string, error) { return "smtp", "example.net", nil },
	}
	var names []string
	for i, f := range filters {
		name := nameOf(i)
		names = append(names, name)
		o.Filters[name] = filter.Definition{Kind: "milter", Scanner: f, Failure: on, MaxClaims: 1000, Breaker: filter.BreakerSettings{Open: 50 * time.Millisecond, MaxOpen: 200 * time.Millisecond}, RetryDelay: 20 * time.Millisecond, Timeout: time.Minute}
	}
	o.Chains["c"] = filter.Chain{Filters: names}
	e, err := filter.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = e.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done; o.Queue.Close() })
	return &rig{t: t, q: o.Queue}
}

func at(s *miltertest.Server) string { return s.Network + ":" + s.Address }

// trace is our own Received field.
const trace = "Received: from mail.example.org (mail.example.org [192.0.2.1])\r\n\tby mx.example.net with ESMTP id Q1; Sun, 22 Nov 2026 02:00:00 +0000\r\n"

func envelope(rcpts ...string) queue.Envelope {
	if len(rcpts) == 0 {
		rcpts = []string{"rcpt@example.net"}
	}
	env := queue.Envelope{ReversePath: "sender@example.org", Client: queue.Client{
		Protocol: "ESMTP", Helo: "mail.example.org", Name: "mail.example.org", Address: "192.0.2.1", Port: 4711, Listener: "smtp",
	}}
	for _, p := range rcpts {
		env.Recipients = append(env.Recipients, queue.Recipient{Path: p, Transport: "smtp", NextHop: "example.net"})
	}
	return env
}

func (r *rig) open(env queue.Envelope, content string) queue.Writer {
	r.t.Helper()
	w, err := r.q.Create(r.t.Context(), env, queue.CreateOptions{Chain: "c", Stage: "m1", Trace: func(queue.ID) []byte { return []byte(trace) }})
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		r.t.Fatal(err)
	}
	return w
}

// judge takes a message through the chain and returns its parts.
func (r *rig) judge(env queue.Envelope, content string) []queue.Item {
	r.t.Helper()
	w := r.open(env, content)
	if err := w.Stage(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	items, err := w.Wait(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := w.Commit(ctx); err != nil {
		r.t.Fatal(err)
	}
	return items
}

// one is judge for a message that stays whole.
func (r *rig) one(env queue.Envelope, content string) queue.Item {
	r.t.Helper()
	items := r.judge(env, content)
	if len(items) != 1 {
		r.t.Fatalf("%d parts, want 1", len(items))
	}
	return items[0]
}

func (r *rig) content(id queue.ID) string {
	r.t.Helper()
	c, err := r.q.Open(r.t.Context(), queue.OpenSpec{ID: id, Generation: -1})
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

// after commits a message first and waits until the chain is through with it.
func (r *rig) after(env queue.Envelope, content string) queue.Item {
	r.t.Helper()
	it, err := r.open(env, content).Commit(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		parts, err := r.q.History(ctx, it.ID)
		if err == nil && len(parts) == 1 && parts[0].State != queue.Unfiltered {
			return parts[0]
		}
		select {
		case <-ctx.Done():
			r.t.Fatalf("%s is not through: %+v, %v", it.ID, parts, err)
		case <-tick.C:
		}
	}
}

// without takes header fields of some names out of a message, octet by octet.
func without(content string, names ...string) string {
	var b strings.Builder
	header, body, _ := strings.Cut(content, "\r\n\r\n")
	drop := false
	for line := range strings.SplitAfterSeq(header+"\r\n", "\n") {
		if line != "" && line[0] != ' ' && line[0] != '\t' {
			name, _, _ := strings.Cut(line, ":")
			drop = slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
		}
		if !drop {
			b.WriteString(line)
		}
	}
	return b.String() + "\r\n" + body
}
