package queuetest

import (
	"context"
	"sync"
	"time"

	"mtad/queue"
)

// Fault is what a Faulty does to one call.
type Fault struct {
	// Err is what the caller gets. Nil: the call goes through, perhaps after Before.
	Err error
	// After lets the call take effect first: with Err, the caller cannot know. An
	// ErrUncertain is told like that, with and without the effect.
	After bool
	// Before runs before the call goes through or fails: a test blocks or advances
	// its clock here.
	Before func()
}

// Plan decides about each call: op names the method ("Claim", "Apply",
// "Writer.Commit", "BlobWriter.Write", "Content.Read", …), n counts the calls of
// that method from 1. It may be called concurrently.
type Plan func(op string, n int) Fault

// Fail is a Plan that fails the nth call of op with err, and no other.
func Fail(op string, n int, err error) Plan {
	return func(o string, i int) Fault {
		if o == op && i == n {
			return Fault{Err: err}
		}
		return Fault{}
	}
}

// FailAll fails every call of op.
func FailAll(op string, err error) Plan {
	return func(o string, _ int) Fault {
		if o == op {
			return Fault{Err: err}
		}
		return Fault{}
	}
}

// Uncertain lets the nth call of op take effect and answers ErrUncertain.
func Uncertain(op string, n int) Plan {
	return func(o string, i int) Fault {
		if o == op && i == n {
			return Fault{Err: queue.ErrUncertain, After: true}
		}
		return Fault{}
	}
}

// FaultyQueue is a Queue that goes wrong as planned.
type FaultyQueue struct {
	q    queue.Queue
	plan Plan

	mu    sync.Mutex
	calls map[string]int
}

// Faulty wraps a queue. A nil plan lets everything through.
func Faulty(q queue.Queue, plan Plan) *FaultyQueue {
	return &FaultyQueue{q: q, plan: plan, calls: map[string]int{}}
}

// Calls is how often a method was called.
func (f *FaultyQueue) Calls(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// Replan changes the plan; the counts go on.
func (f *FaultyQueue) Replan(plan Plan) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plan = plan
}

func (f *FaultyQueue) fault(op string) Fault {
	f.mu.Lock()
	f.calls[op]++
	n, plan := f.calls[op], f.plan
	f.mu.Unlock()
	if plan == nil {
		return Fault{}
	}
	return plan(op, n)
}

// do makes one call as planned.
func (f *FaultyQueue) do(op string, call func() error) error {
	fault := f.fault(op)
	if fault.Before != nil {
		fault.Before()
	}
	if fault.Err == nil {
		return call()
	}
	if fault.After {
		if err := call(); err != nil {
			return err
		}
	}
	return fault.Err
}

// ask is do for a call with a result, which a failed call does not have.
func ask[T any](f *FaultyQueue, op string, call func() (T, error)) (T, error) {
	var v, none T
	err := f.do(op, func() (err error) {
		v, err = call()
		return err
	})
	if err != nil {
		return none, err
	}
	return v, nil
}

// Create opens a message whose Writer goes wrong as planned, too.
func (f *FaultyQueue) Create(ctx context.Context, e queue.Envelope, o queue.CreateOptions) (queue.Writer, error) {
	w, err := ask(f, "Create", func() (queue.Writer, error) { return f.q.Create(ctx, e, o) })
	if err != nil {
		return nil, err
	}
	return &faultyWriter{w, f}, nil
}

// Claim leases items; with Fault.After they are leased and nobody knows.
func (f *FaultyQueue) Claim(ctx context.Context, s queue.ClaimSpec) ([]queue.Claim, error) {
	return ask(f, "Claim", func() ([]queue.Claim, error) { return f.q.Claim(ctx, s) })
}

// Extend fails for every token when it is planned to fail.
func (f *FaultyQueue) Extend(ctx context.Context, tokens []queue.Token, d time.Duration) []error {
	var errs []error
	err := f.do("Extend", func() error {
		errs = f.q.Extend(ctx, tokens, d)
		return nil
	})
	if err == nil {
		return errs
	}
	errs = make([]error, len(tokens))
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// Release gives an item back.
func (f *FaultyQueue) Release(ctx context.Context, t queue.Token, delay time.Duration, lost bool) error {
	return f.do("Release", func() error { return f.q.Release(ctx, t, delay, lost) })
}

// Apply makes a change.
func (f *FaultyQueue) Apply(ctx context.Context, x queue.Txn) ([]queue.Item, error) {
	return ask(f, "Apply", func() ([]queue.Item, error) { return f.q.Apply(ctx, x) })
}

// Upload opens a blob whose writer goes wrong as planned, too.
func (f *FaultyQueue) Upload(ctx context.Context, t queue.Token) (queue.BlobWriter, error) {
	w, err := ask(f, "Upload", func() (queue.BlobWriter, error) { return f.q.Upload(ctx, t) })
	if err != nil {
		return nil, err
	}
	return &faultyBlob{w, f}, nil
}

// Open reads content, which goes wrong as planned, too.
func (f *FaultyQueue) Open(ctx context.Context, s queue.OpenSpec) (queue.Content, error) {
	c, err := ask(f, "Open", func() (queue.Content, error) { return f.q.Open(ctx, s) })
	if err != nil {
		return nil, err
	}
	return &faultyContent{c, f}, nil
}

// Get reads an item.
func (f *FaultyQueue) Get(ctx context.Context, id queue.ID) (queue.Item, error) {
	return ask(f, "Get", func() (queue.Item, error) { return f.q.Get(ctx, id) })
}

// History reads the parts of a message.
func (f *FaultyQueue) History(ctx context.Context, id queue.ID) ([]queue.Item, error) {
	return ask(f, "History", func() ([]queue.Item, error) { return f.q.History(ctx, id) })
}

// List reads a page.
func (f *FaultyQueue) List(ctx context.Context, s queue.Filter, after queue.Cursor, n int) (queue.Page, error) {
	return ask(f, "List", func() (queue.Page, error) { return f.q.List(ctx, s, after, n) })
}

// Count counts.
func (f *FaultyQueue) Count(ctx context.Context, s queue.Filter) (queue.Tally, error) {
	return ask(f, "Count", func() (queue.Tally, error) { return f.q.Count(ctx, s) })
}

// Shape counts by next hop and age.
func (f *FaultyQueue) Shape(ctx context.Context, s queue.ShapeSpec) (queue.Shape, error) {
	return ask(f, "Shape", func() (queue.Shape, error) { return f.q.Shape(ctx, s) })
}

// Stats is the state of the queue.
func (f *FaultyQueue) Stats(ctx context.Context) (queue.Stats, error) {
	return ask(f, "Stats", func() (queue.Stats, error) { return f.q.Stats(ctx) })
}

// Bulk starts a job.
func (f *FaultyQueue) Bulk(ctx context.Context, s queue.Filter, a queue.Action) (queue.JobID, error) {
	return ask(f, "Bulk", func() (queue.JobID, error) { return f.q.Bulk(ctx, s, a) })
}

// Job reports on a job.
func (f *FaultyQueue) Job(ctx context.Context, id queue.JobID) (queue.JobStatus, error) {
	return ask(f, "Job", func() (queue.JobStatus, error) { return f.q.Job(ctx, id) })
}

// Watch streams events.
func (f *FaultyQueue) Watch(ctx context.Context, after queue.Cursor) (queue.EventStream, error) {
	return ask(f, "Watch", func() (queue.EventStream, error) { return f.q.Watch(ctx, after) })
}

// Health is not ready while Health is planned to fail.
func (f *FaultyQueue) Health(ctx context.Context) queue.Health {
	h, err := ask(f, "Health", func() (queue.Health, error) { return f.q.Health(ctx), nil })
	if err != nil {
		return queue.Health{Reason: "store_unavailable", Detail: err.Error()}
	}
	return h
}

// Close closes the queue behind.
func (f *FaultyQueue) Close() error { return f.do("Close", f.q.Close) }
