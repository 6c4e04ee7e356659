package filter

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mtad/filterproto"
	"mtad/queue"
	"mtad/queue/queuetest"
)

// Scanners of three filters come, judge, die and come back; clients wait or leave;
// mtad is reloaded. In the end every message that was accepted was judged by
// every filter exactly once, in order, and carries each one's edit once.
func TestEveryMessageIsJudgedOnceByEveryFilter(t *testing.T) {
	names := []string{"a", "b", "c"}
	rapid.Check(t, func(rt *rapid.T) {
		clock := queuetest.NewClock()
		q := queuetest.NewModel(queuetest.ModelOptions{Clock: clock, MaxClaims: 1000})
		defer q.Close()
		h := &history{q: q, clock: clock, names: names}
		h.reload()
		for range rapid.IntRange(5, 60).Draw(rt, "steps") {
			h.step(rapid.SampledFrom([]string{"commit", "commit", "stage", "leave", "park", "judge", "judge", "judge", "judge twice", "die", "time", "reload"}).Draw(rt, "step"),
				rapid.SampledFrom(names).Draw(rt, "filter"))
		}
		h.drain()
		h.check(rt)
	})
}

type history struct {
	q        queue.Queue
	clock    *queuetest.ManualClock
	e        *Engine
	names    []string
	staged   []queue.Writer
	accepted []queue.ID
	failed   []string
}

func (h *history) reload() {
	o := Options{Queue: h.q, Now: h.clock.Now, Chains: map[string]Chain{"c": {Filters: h.names}}, Filters: map[string]Definition{}}
	for _, n := range h.names {
		o.Filters[n] = Definition{MaxClaims: 1000}
	}
	e, err := New(o)
	if err != nil {
		h.failed = append(h.failed, err.Error())
		return
	}
	h.e = e
}

func (h *history) step(step, filter string) {
	ctx := context.Background()
	switch step {
	case "commit", "stage":
		w, err := h.q.Create(ctx, envelope("x@example.net"), queue.CreateOptions{Chain: "c", Stage: h.e.First("c")})
		h.must(err)
		_, err = w.Write([]byte(plain))
		h.must(err)
		if step == "stage" {
			h.must(w.Stage(ctx))
			h.staged = append(h.staged, w)
			return
		}
		h.accept(w)
	case "leave", "park":
		if len(h.staged) == 0 {
			return
		}
		w := h.staged[0]
		h.staged = h.staged[1:]
		if step == "leave" {
			h.must(w.Abort())
			return
		}
		h.accept(w)
	case "judge", "judge twice":
		h.judge(filter, step == "judge twice")
	case "die":
		_, err := h.e.Claim(ctx, ClaimRequest{Filter: filter, Max: 2, Lease: time.Minute})
		h.must(err)
	case "time":
		h.clock.Advance(45 * time.Second)
		h.e.sweep(ctx)
	case "reload":
		h.reload()
	}
}

func (h *history) accept(w queue.Writer) {
	it, err := w.Commit(context.Background())
	h.must(err)
	h.accepted = append(h.accepted, it.ID)
}

func (h *history) judge(filter string, twice bool) (judged int) {
	claims, err := h.e.Claim(context.Background(), ClaimRequest{Filter: filter, Max: 3, Lease: time.Minute})
	h.must(err)
	for _, c := range claims {
		v := filterproto.Verdict{Disposition: filterproto.Accept, Edits: []filterproto.Edit{add("X-"+filter, string(c.Item.ID))}}
		_, err := h.e.Judge(context.Background(), filter, c.Token, "n", v)
		h.must(err)
		if twice {
			_, err := h.e.Judge(context.Background(), filter, c.Token, "n", v)
			h.must(err)
		}
	}
	return len(claims)
}

func (h *history) drain() {
	for len(h.staged) > 0 {
		h.step("park", "")
	}
	h.clock.Advance(5 * time.Minute)
	for n := 1; n > 0; {
		n = 0
		for _, f := range h.names {
			n += h.judge(f, false)
		}
	}
}

func (h *history) must(err error) {
	if err != nil {
		h.failed = append(h.failed, err.Error())
	}
}

func (h *history) check(t *rapid.T) {
	if h.failed != nil {
		t.Fatal(h.failed)
	}
	for _, id := range h.accepted {
		it, err := h.q.Get(context.Background(), id)
		if err != nil || it.State != queue.Incoming {
			t.Fatalf("%s: %v, %s at %q", id, err, it.State, it.Stage)
		}
		var by []string
		for _, v := range it.Verdicts {
			by = append(by, v.Filter)
		}
		want := strings.Replace(plain, "\r\n\r\n", fmt.Sprintf("\r\nX-a: %s\r\nX-b: %s\r\nX-c: %s\r\n\r\n", id, id, id), 1)
		if got := contentOf(h.q, id); strings.Join(by, "") != "abc" || got != want {
			t.Fatalf("%s: judged by %v\ngot  %q\nwant %q", id, by, got, want)
		}
	}
}

func contentOf(q queue.Queue, id queue.ID) string {
	c, err := q.Open(context.Background(), queue.OpenSpec{ID: id, Generation: -1})
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	var b strings.Builder
	buf := make([]byte, 512)
	for {
		n, err := c.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			return b.String()
		}
	}
}
