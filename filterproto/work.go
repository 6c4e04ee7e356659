package filterproto

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// handle runs the handler on tasks until there are no more.
func (r *runner) handle(ctx context.Context) {
	for t := range r.todo {
		select {
		case <-r.stopped:
			t.release = &release{} // nobody has begun it
		default:
			r.judge(ctx, t)
		}
		r.handled()
		r.done <- t
	}
}

func (r *runner) judge(ctx context.Context, t *task) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.lost, cancel)()
	v, err := r.call(ctx, t.m)
	var p *panicked
	switch {
	case errors.As(err, &p):
		r.log.Error("handler panicked", "queue_id", t.m.ID, "panic", p.value, "stack", p.stack)
		t.release = &release{delay: r.o.RetryDelay, lost: true}
	case err != nil:
		r.log.Warn("handler", "queue_id", t.m.ID, "error", err)
		t.release = &release{delay: r.o.RetryDelay}
	default:
		t.entry = VerdictEntry{Token: t.m.Token, Nonce: rand.Text(), Verdict: v}
	}
}

type panicked struct {
	value any
	stack string
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

func (r *runner) call(ctx context.Context, m *Message) (v Verdict, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicked{p, string(debug.Stack())}
		}
	}()
	return r.h(ctx, m)
}

// linger is how long verdicts wait for company while others are on their way.
const linger = 2 * time.Millisecond

// send ends tasks, many in one request. What comes while nothing is under way goes
// at once, and so does what a client waits for.
func (r *runner) send(ctx context.Context) {
	for {
		t, ok := <-r.done
		if !ok {
			return
		}
		wait := time.Duration(0)
		if r.sending.Add(1) > 1 && !t.m.Staged {
			wait = linger
		}
		r.finish(ctx, r.gather(t, wait))
		r.sending.Add(-1)
	}
}

// gather takes what is there, and what comes within wait.
func (r *runner) gather(first *task, wait time.Duration) []*task {
	batch := []*task{first}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for len(batch) < r.o.Batch {
		select {
		case t, ok := <-r.done:
			if !ok {
				return batch
			}
			batch = append(batch, t)
			continue
		default:
		}
		select {
		case t, ok := <-r.done:
			if !ok {
				return batch
			}
			batch = append(batch, t)
		case <-timer.C:
			return batch
		}
	}
	return batch
}

func (r *runner) finish(ctx context.Context, batch []*task) {
	var verdicts []*task
	back := make(map[release][]*task)
	for _, t := range batch {
		if t.release != nil {
			back[*t.release] = append(back[*t.release], t)
		} else {
			verdicts = append(verdicts, t)
		}
	}
	for _, t := range r.sendVerdicts(ctx, verdicts) {
		again := release{delay: r.o.RetryDelay}
		back[again] = append(back[again], t)
	}
	for how, tasks := range back {
		r.sendRelease(ctx, how, tasks)
	}
	for _, t := range batch {
		r.end(t)
	}
}

// sendVerdicts sends verdicts until each is taken, refused, or its lease is gone.
// It returns those that were refused as they are: their messages are given back.
func (r *runner) sendVerdicts(ctx context.Context, tasks []*task) (refused []*task) {
	pause := backoff{min: 50 * time.Millisecond, max: 5 * time.Second}
	for len(tasks) > 0 && ctx.Err() == nil {
		again, no, err := r.tryVerdicts(ctx, tasks)
		refused = append(refused, no...)
		if tasks = r.alive(again); len(tasks) > 0 {
			pause.wait(ctx, err)
		}
	}
	return refused
}

// tryVerdicts sends verdicts once. again are those to be sent again because of
// err.
func (r *runner) tryVerdicts(ctx context.Context, tasks []*task) (again, refused []*task, err error) {
	entries := make([]VerdictEntry, len(tasks))
	for i, t := range tasks {
		entries[i] = t.entry
	}
	results, err := r.o.Client.Verdicts(ctx, entries)
	switch {
	case err == nil:
		return r.sort(tasks, results)
	case !permanent(err):
		r.log.Warn("verdicts", "error", err)
		return tasks, nil, err
	case len(tasks) == 1:
		r.log.Error("verdict refused", "queue_id", tasks[0].m.ID, "error", err)
		return nil, tasks, nil
	}
	for _, t := range tasks { // one of them spoils the request: each by itself
		refused = append(refused, r.sendVerdicts(ctx, []*task{t})...)
	}
	return nil, refused, nil
}

// sort reads the results of tasks.
func (r *runner) sort(tasks []*task, results []Result) (again, refused []*task, err error) {
	for i, res := range results {
		t := tasks[i]
		switch {
		case res.OK:
		case res.Error == nil || transient(res.Error.Code):
			again, err = append(again, t), orNil(res.Error)
		case res.Error.Code == CodeLeaseLost:
			r.log.Warn("verdict too late", "queue_id", t.m.ID)
		default:
			r.log.Error("verdict refused", "queue_id", t.m.ID, "error", res.Error)
			refused = append(refused, t)
		}
	}
	return again, refused, err
}

func orNil(e *Error) error {
	if e == nil {
		return nil
	}
	return e
}

// transient reports whether the same request may succeed later.
func transient(code string) bool {
	switch code {
	case CodeInternal, CodeUnavailable, CodeUncertain, CodeStorageFull, CodeQueueFull, CodeShuttingDown, CodeConflict:
		return true
	}
	return false
}

// alive drops tasks whose lease has run out.
func (r *runner) alive(tasks []*task) []*task {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	var out []*task
	for _, t := range tasks {
		if t.lost.Err() == nil && now.Before(t.until) {
			out = append(out, t)
		}
	}
	return out
}

// sendRelease gives messages back, once: if it does not work, the leases run out.
func (r *runner) sendRelease(ctx context.Context, how release, tasks []*task) {
	var tokens []string
	for _, t := range tasks {
		tokens = append(tokens, t.m.Token)
	}
	if _, err := r.o.Client.Release(ctx, tokens, how.delay, how.lost); err != nil {
		r.log.Warn("release", "error", err)
	}
}
