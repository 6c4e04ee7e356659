package filter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"mtad/filterproto"
	"mtad/queue"
)

// Run drives the filters that are not pulled, and applies the failure rules to
// those that are. It returns nil when ctx has ended and every scan under way has:
// what was not judged by then goes back to the queue.
func (e *Engine) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for name, def := range e.filters {
		if !def.Pull() {
			w := &worker{e: e, filter: name, def: def, freed: make(chan struct{}, 1)}
			e.metrics.limit.WithLabelValues(name).Set(float64(def.Concurrency))
			wg.Go(func() {
				w.run(ctx)
				if c, ok := def.Scanner.(io.Closer); ok {
					_ = c.Close()
				}
			})
		}
	}
	wg.Go(func() { e.sweeps(ctx) })
	wg.Wait()
	return nil
}

func (e *Engine) sweeps(ctx context.Context) {
	tick := time.NewTicker(e.sweepEach)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			e.sweep(ctx)
		}
	}
}

// worker drives one filter: it claims no more than it can scan at once. A slot
// (state.taken) is held from before the claim to the end of the scan.
type worker struct {
	e      *Engine
	filter string
	def    Definition
	freed  chan struct{} // has a token when slots were given back
	wg     sync.WaitGroup
}

// Waits of a worker.
const (
	workerWait  = 20 * time.Second // one long poll
	workerLease = time.Minute      // renewed at a third
	workerPause = time.Second      // after an error of the queue
)

func (w *worker) run(ctx context.Context) {
	defer w.wg.Wait()
	for ctx.Err() == nil {
		n, probe := w.room(ctx)
		if n == 0 {
			continue
		}
		claims, err := w.claim(ctx, n)
		if err != nil && ctx.Err() == nil {
			w.e.log.LogAttrs(ctx, slog.LevelWarn, "claim", slog.String("filter", w.filter), slog.String("error", err.Error()))
		}
		w.give(n - len(claims))
		if probe && len(claims) == 0 {
			w.e.with(w.filter, func(s *state) { s.breaker.abandon(w.e.now()) })
		}
		for _, c := range claims {
			w.wg.Go(func() { w.scan(ctx, c); w.give(1) })
		}
		if err != nil {
			pause(ctx, workerPause)
		}
	}
}

// room waits for a free slot and for the breaker, and takes as many slots as may
// be filled: one only when the breaker wants a probe. With a breaker that is open
// and a rule that does not park, items are taken all the same, to have the rule
// applied.
func (w *worker) room(ctx context.Context) (n int, probe bool) {
	for {
		n, probe, retry := w.take()
		if n > 0 {
			return n, probe
		}
		if retry > 0 {
			pause(ctx, min(max(retry, 10*time.Millisecond), workerPause))
			return 0, false
		}
		select {
		case <-w.freed:
		case <-ctx.Done():
			return 0, false
		}
	}
}

// take takes the slots that the throttle leaves. None and a time: the breaker is
// open for so long.
func (w *worker) take() (n int, probe bool, retry time.Duration) {
	w.e.with(w.filter, func(s *state) {
		if n = s.throttle.scans() - s.taken; n <= 0 {
			n = 0
			return
		}
		now, before := w.e.now(), s.breaker.mode
		allowed := s.breaker.allow(now)
		switch probe = before != closed && allowed; {
		case probe:
			n = 1
		case !allowed && w.def.action(Unreachable) == Park:
			n, retry = 0, max(s.breaker.retryIn(now), 1)
		}
		s.taken += n
	})
	return n, probe, retry
}

// give gives slots back.
func (w *worker) give(n int) {
	if n == 0 {
		return
	}
	w.e.with(w.filter, func(s *state) { s.taken -= n })
	select {
	case w.freed <- struct{}{}:
	default:
	}
}

func (w *worker) claim(ctx context.Context, n int) ([]queue.Claim, error) {
	return w.e.q.Claim(ctx, queue.ClaimSpec{
		From: queue.Unfiltered, Stage: w.filter, Holder: "mtad: " + w.def.Kind,
		Max: min(n, queue.MaxClaim), Lease: workerLease, Wait: workerWait,
	})
}

// scan takes one item through the filter. It ends with a verdict, a failure rule,
// or, when mtad stops, with the item given back.
func (w *worker) scan(ctx context.Context, c queue.Claim) {
	if class, bad := w.def.triage(c.Item); bad {
		w.e.with(w.filter, func(s *state) { s.breaker.abandon(w.e.now()) })
		w.e.fail(ctx, w.filter, w.def, c, class, nil)
		return
	}
	if w.shut() {
		w.e.fail(ctx, w.filter, w.def, c, Unreachable, errors.New("circuit breaker is open"))
		return
	}
	now := w.e.now()
	w.e.leases.put(c.Token, lease{filter: w.filter, item: c.Item, taken: now, until: now.Add(queue.MaxLease)})
	w.e.metrics.claims.WithLabelValues(w.filter).Inc()
	w.e.with(w.filter, func(s *state) { s.scanning++ })
	defer w.e.with(w.filter, func(s *state) { s.scanning-- })

	// What was claimed is finished or given back also while mtad stops.
	after := context.WithoutCancel(ctx)
	v, err := w.ask(ctx, c)
	took := w.e.now().Sub(now)
	if err == nil {
		err = w.judge(after, c, v)
		if err == nil {
			w.e.with(w.filter, func(s *state) {
				s.breaker.success()
				s.throttle.success(took, s.scanning)
				w.e.metrics.limit.WithLabelValues(w.filter).Set(float64(s.throttle.scans()))
			})
			return
		}
	}
	w.failed(ctx, after, c, now, err)
}

func (w *worker) judge(ctx context.Context, c queue.Claim, v filterproto.Verdict) error {
	_, err := w.e.Judge(ctx, w.filter, c.Token, "", v)
	var refused *VerdictError
	if err == nil || errors.As(err, &refused) {
		return err
	}
	return errQueue{err}
}

func (w *worker) failed(ctx, after context.Context, c queue.Claim, begin time.Time, err error) {
	var q errQueue
	if trouble := errors.As(err, &q); trouble || ctx.Err() != nil {
		var rest time.Duration
		if trouble {
			// The queue's fault: the scanner is not to be asked again at once.
			rest = workerPause
			w.e.log.LogAttrs(ctx, slog.LevelWarn, "verdict not carried out", slog.String("queue_id", string(c.Item.ID)),
				slog.String("filter", w.filter), slog.String("error", err.Error()))
		}
		// An error leaves the lease to run out, which does the same.
		_ = w.e.q.Release(after, c.Token, rest, false)
		w.e.leases.drop(c.Token)
		w.e.with(w.filter, func(s *state) { s.breaker.abandon(w.e.now()) })
		return
	}
	class := classOf(err)
	w.e.with(w.filter, func(s *state) {
		if class == OverSize {
			s.breaker.success()
		} else {
			s.breaker.failure(w.e.now())
			s.throttle.failure(begin, w.e.now())
			w.e.metrics.limit.WithLabelValues(w.filter).Set(float64(s.throttle.scans()))
		}
	})
	w.e.fail(after, w.filter, w.def, c, class, err)
}

// shut reports whether the breaker keeps this scan from being tried.
func (w *worker) shut() (yes bool) {
	w.e.with(w.filter, func(s *state) { yes = s.breaker.mode == open })
	return yes
}

// ask runs the kind with its time limit while the lease is renewed. A panic is a
// Crash.
func (w *worker) ask(ctx context.Context, c queue.Claim) (v filterproto.Verdict, err error) {
	ctx, cancel := context.WithTimeout(ctx, w.def.Timeout)
	defer cancel()
	stop := w.renew(ctx, cancel, c.Token)
	defer stop()
	defer func() {
		if p := recover(); p != nil {
			w.e.log.LogAttrs(ctx, slog.LevelError, "filter kind panicked", slog.String("queue_id", string(c.Item.ID)),
				slog.String("filter", w.filter), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			err = &Failure{Class: Crash, Err: fmt.Errorf("panic: %v", p)}
		}
	}()
	v, err = w.def.Scanner.Scan(ctx, Message{Filter: w.filter, Item: c.Item, q: w.e.q, token: c.Token,
		judge: func(ctx context.Context, v filterproto.Verdict) error {
			_, err := w.e.Judge(ctx, w.filter, c.Token, "", v)
			return err
		}})
	if err != nil && ctx.Err() == context.DeadlineExceeded {
		err = &Failure{Class: Timeout, Err: err}
	}
	return v, err
}

// renew extends the lease at a third of its time until stop is called. A lease
// that is lost ends the scan: its verdict would be refused.
func (w *worker) renew(ctx context.Context, cancel context.CancelFunc, t queue.Token) (stop func()) {
	ctx, end := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(workerLease / 3)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if errs := w.e.q.Extend(ctx, []queue.Token{t}, workerLease); len(errs) > 0 && errors.Is(errs[0], queue.ErrLeaseLost) {
				cancel()
				return
			}
		}
	}()
	return func() { end(); <-done }
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
