package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// cleanup is something that has to be ended, with a name for the log.
type cleanup struct {
	name string
	end  func(context.Context) error
}

// stack is what was started, oldest first. It is ended in reverse order.
type stack struct {
	log   *slog.Logger
	items []cleanup
}

func (s *stack) push(name string, end func(context.Context) error) {
	s.items = append(s.items, cleanup{name, end})
}

// unwind ends everything, newest first, whatever fails. Each step gets half of
// the time that is left, so that one that does not end leaves some to the others.
func (s *stack) unwind(ctx context.Context) error {
	var errs []error
	for len(s.items) > 0 {
		c := s.items[len(s.items)-1]
		s.items = s.items[:len(s.items)-1]
		begin := time.Now()
		if err := c.within(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.name, err))
		}
		s.log.Debug("stopped", "part", c.name, "after", time.Since(begin).Round(time.Millisecond))
	}
	return errors.Join(errs...)
}

// within ends the part in half of the time that ctx has left.
func (c cleanup) within(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	return c.end(ctx)
}

// worker runs a blocking function until it is ended.
type worker struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

func startWorker(run func(context.Context) error) *worker {
	ctx, cancel := context.WithCancel(context.Background())
	w := &worker{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.err = run(ctx)
	}()
	return w
}

// end cancels the function and waits for it, until ctx ends.
func (w *worker) end(ctx context.Context) error {
	w.cancel()
	select {
	case <-w.done:
		if errors.Is(w.err, context.Canceled) {
			return nil
		}
		return w.err
	case <-ctx.Done():
		return errors.New("was not through in time")
	}
}
