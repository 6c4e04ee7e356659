package filter

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"mtad/filterproto"
	"mtad/queue"
)

var errDisk = errors.New("input/output error")

// faulty fails one call in a run, the at-th of those that can fail. With after
// the call takes effect and its answer is lost.
type faulty struct {
	queue.Queue
	at, calls int
	after     bool
}

func (f *faulty) due() bool { f.calls++; return f.calls == f.at }

func (f *faulty) Apply(ctx context.Context, x queue.Txn) ([]queue.Item, error) {
	if !f.due() {
		return f.Queue.Apply(ctx, x)
	}
	if f.after {
		if _, err := f.Queue.Apply(ctx, x); err != nil {
			return nil, err
		}
	}
	return nil, queue.ErrUncertain
}

func (f *faulty) Open(ctx context.Context, s queue.OpenSpec) (queue.Content, error) {
	if f.due() {
		return nil, errDisk
	}
	c, err := f.Queue.Open(ctx, s)
	if err == nil && f.due() {
		return broken{c}, nil
	}
	return c, err
}

type broken struct{ queue.Content }

func (broken) Read([]byte) (int, error) { return 0, queue.ErrCorrupt }

func (f *faulty) Claim(ctx context.Context, s queue.ClaimSpec) ([]queue.Claim, error) {
	if f.due() {
		return nil, queue.ErrUnavailable
	}
	return f.Queue.Claim(ctx, s)
}

func (f *faulty) Release(ctx context.Context, t queue.Token, d time.Duration, lost bool) error {
	if f.due() {
		return queue.ErrUnavailable
	}
	return f.Queue.Release(ctx, t, d, lost)
}

func (f *faulty) Upload(ctx context.Context, t queue.Token) (queue.BlobWriter, error) {
	if f.due() {
		return nil, queue.ErrFull
	}
	w, err := f.Queue.Upload(ctx, t)
	if err == nil && f.due() {
		return brokenBlob{w}, nil
	}
	return w, err
}

type brokenBlob struct{ queue.BlobWriter }

func (brokenBlob) Write([]byte) (int, error) { return 0, queue.ErrFull }

func (f *faulty) Stats(ctx context.Context) (queue.Stats, error) {
	if f.due() {
		return queue.Stats{}, queue.ErrUnavailable
	}
	return f.Queue.Stats(ctx)
}

// big is a verdict that reads the header section, uploads, splits and edits the
// envelope.
func big() filterproto.Verdict {
	v := accept(add("X", "y"), body(string(make([]byte, 600<<10))), filterproto.Edit{Op: filterproto.RecipientDelete, Value: "b@x"})
	v.Recipients = []filterproto.RecipientVerdict{forRecipient("c@x", verdict(filterproto.Reject))}
	return v
}

// A fault at any call leaves the item as it was or as the verdict makes it, and
// repeating the verdict ends in the latter.
func TestAFaultAtAnyCallOfAVerdict(t *testing.T) {
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			r := newRig(t, oneFilter(Definition{}))
			id := r.commit(plain, "a@x", "b@x", "c@x")
			c := r.claim("f")
			f := &faulty{Queue: r.q, at: at, after: after}
			r.e.q = f
			_, err := r.e.Judge(context.Background(), "f", c.Token, "n", big())
			state := byRecipient(r.outcome(id))
			untouched := len(r.outcome(id)) == 1 && state["a@x"] == "unfiltered pending" && len(r.get(id).Verdicts) == 0 && r.content(id) == plain
			done := len(r.outcome(id)) == 2 && state["a@x"] == "incoming pending" && state["b@x"] == "incoming removed" && state["c@x"] == "incoming failed"
			if !untouched && !done || err == nil && !done {
				t.Fatalf("call %d, after=%v: %v, %v", at, after, state, err)
			}
			if err == nil {
				if f.calls < 5 {
					t.Fatalf("only %d calls were made", f.calls)
				}
				break
			}
			if _, err := r.e.Judge(context.Background(), "f", c.Token, "n", big()); err != nil {
				t.Fatalf("call %d, after=%v: repeated: %v", at, after, err)
			}
			checkRecipients(t, byRecipient(r.outcome(id)), "a@x: incoming pending", "b@x: incoming removed", "c@x: incoming failed")
		}
	}
}

// A fault at any call of a failure rule leaves the message at its stage, never
// accepted unmarked, and the next sweep carries the rule out.
func TestAFaultAtAnyCallOfAFailureRule(t *testing.T) {
	for _, action := range []Action{Quarantine, AcceptMarked, Reject} {
		for at := 1; ; at++ {
			r := newRig(t, oneFilter(Definition{Failure: map[Class]Action{Unreachable: action}}))
			id := r.commit(plain)
			f := &faulty{Queue: r.q, at: at}
			r.e.q = f
			r.clock.Advance(6 * time.Minute)
			r.e.sweep(context.Background())
			if got := describe(r.outcome(id)); got != "unfiltered" && got != want[action][0] {
				t.Fatalf("%s, call %d: %s", action, at, got)
			}
			if f.calls < at {
				break
			}
			r.clock.Advance(2 * sweepLease)
			r.e.sweep(context.Background())
			if got := describe(r.outcome(id)); got != want[action][0] {
				t.Fatalf("%s, call %d: then %s", action, at, got)
			}
		}
	}
}

func TestContentThatCannotBeReadIsNotJudged(t *testing.T) {
	r := newRig(t, oneFilter(Definition{}))
	id := r.commit(plain)
	c := r.claim("f")
	r.e.q = &faulty{Queue: r.q, at: 2}
	_, err := r.e.Judge(context.Background(), "f", c.Token, "", accept(add("X", "y")))
	if !errors.Is(err, queue.ErrCorrupt) || errors.Is(err, io.EOF) {
		t.Errorf("%v", err)
	}
	if r.get(id).State != queue.Unfiltered {
		t.Error("moved")
	}
}
