package filter

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"mtad/filterproto"
	"mtad/queue"
	"mtad/queue/queuetest"
)

// rig is an engine over the model with a clock that the test moves.
type rig struct {
	t     *testing.T
	q     queue.Queue
	clock *queuetest.ManualClock
	e     *Engine
}

// newQueue makes the queue of a rig; TestOverTheEngine replaces it.
var newQueue = func(t *testing.T, clock *queuetest.ManualClock) queue.Queue {
	return queuetest.NewModel(queuetest.ModelOptions{Clock: clock})
}

func newRig(t *testing.T, o Options) *rig {
	t.Helper()
	r := &rig{t: t, clock: queuetest.NewClock()}
	if o.Queue == nil {
		o.Queue = newQueue(t, r.clock)
	}
	r.q = o.Queue
	if o.Now == nil {
		o.Now = r.clock.Now
	}
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.e = e
	t.Cleanup(func() { r.q.Close() })
	return r
}

// oneFilter is a configuration with the pull filter "f" in chain "c".
func oneFilter(d Definition) Options {
	return Options{
		Chains:  map[string]Chain{"c": {Filters: []string{"f"}}},
		Filters: map[string]Definition{"f": d},
	}
}

func twoFilters() Options {
	return Options{
		Chains:  map[string]Chain{"c": {Filters: []string{"f", "g"}}},
		Filters: map[string]Definition{"f": {}, "g": {}},
	}
}

const plain = "From: a@example.org\r\nSubject: one\r\n\r\nbody\r\n"

func envelope(rcpts ...string) queue.Envelope {
	env := queue.Envelope{ReversePath: "a@example.org"}
	for _, p := range rcpts {
		_, domain, _ := strings.Cut(p, "@")
		env.Recipients = append(env.Recipients, queue.Recipient{Path: p, Transport: "smtp", NextHop: domain})
	}
	return env
}

// open writes a message of chain "c" without committing it.
func (r *rig) open(content string, rcpts ...string) queue.Writer {
	r.t.Helper()
	if len(rcpts) == 0 {
		rcpts = []string{"b@example.net"}
	}
	stage, _, _ := r.e.Plan("c")
	w, err := r.q.Create(context.Background(), envelope(rcpts...), queue.CreateOptions{Chain: "c", Stage: stage})
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		r.t.Fatal(err)
	}
	return w
}

func (r *rig) commit(content string, rcpts ...string) queue.ID {
	r.t.Helper()
	w := r.open(content, rcpts...)
	it, err := w.Commit(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	return it.ID
}

func (r *rig) stage(content string, rcpts ...string) queue.Writer {
	r.t.Helper()
	w := r.open(content, rcpts...)
	if err := w.Stage(context.Background()); err != nil {
		r.t.Fatal(err)
	}
	return w
}

// claim takes one message for a filter.
func (r *rig) claim(filter string) queue.Claim {
	r.t.Helper()
	claims := r.claims(filter)
	if len(claims) != 1 {
		r.t.Fatalf("claimed %d messages for %s, want 1", len(claims), filter)
	}
	return claims[0]
}

func (r *rig) claims(filter string) []queue.Claim {
	r.t.Helper()
	claims, err := r.e.Claim(context.Background(), ClaimRequest{Filter: filter, Holder: "test", Lease: time.Minute})
	if err != nil {
		r.t.Fatal(err)
	}
	return claims
}

func (r *rig) judge(filter string, t queue.Token, v filterproto.Verdict) []queue.Item {
	r.t.Helper()
	items, err := r.e.Judge(context.Background(), filter, t, "", v)
	if err != nil {
		r.t.Fatalf("verdict %+v: %v", v, err)
	}
	return items
}

func (r *rig) get(id queue.ID) queue.Item {
	r.t.Helper()
	it, err := r.q.Get(context.Background(), id)
	if err != nil {
		r.t.Fatalf("get %s: %v", id, err)
	}
	return it
}

func (r *rig) content(id queue.ID) string {
	r.t.Helper()
	c, err := r.q.Open(context.Background(), queue.OpenSpec{ID: id, Generation: -1})
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

// outcome is how the parts of a message stand, live and finished.
func (r *rig) outcome(id queue.ID) []queue.Item {
	r.t.Helper()
	items, err := r.q.History(context.Background(), id.Message())
	if err != nil {
		r.t.Fatal(err)
	}
	return items
}

func accept(edits ...filterproto.Edit) filterproto.Verdict {
	return filterproto.Verdict{Disposition: filterproto.Accept, Edits: edits}
}

func verdict(d filterproto.Disposition) filterproto.Verdict {
	return filterproto.Verdict{Disposition: d}
}
