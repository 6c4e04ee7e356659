package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"mtad/internal/events"
)

// session sends from one place on, until it is told to go on elsewhere, the
// target stops, or ctx ends.
type session struct {
	*target
	win     *window
	results chan answer
	busy    int
	fails   int           // in a row, of any event
	pause   time.Time     // nothing is sent before
	retry   time.Duration // wait before the queue is read again
}

type answer struct {
	e *entry
	r result
}

// many is how many failures in a row make a target one that is down: it is then
// tried with one event at a time.
const many = 3

type incoming struct {
	e   events.Event
	at  events.Position
	err error
}

func (s *session) run(parent context.Context) {
	ctx, cancel := context.WithCancel(parent)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	in := make(chan incoming)
	wg.Go(func() { s.read(ctx, s.win.place, in) })
	clock := time.NewTimer(time.Hour)
	defer clock.Stop()
	save := time.NewTicker(s.o.SaveTime)
	defer save.Stop()
	for {
		wait := s.dispatch(ctx, &wg)
		s.report()
		from := in
		if len(s.win.entries) >= s.o.Window {
			from = nil // memory is bounded: the rest waits in the queue's log
		}
		clock.Reset(wait)
		select {
		case n := <-from:
			s.take(n)
		case a := <-s.results:
			if s.answered(a) {
				return
			}
		case <-clock.C:
		case <-save.C:
			_ = s.save()
		case o := <-s.orders:
			cancel()
			s.obey(o)
			return
		case <-ctx.Done():
			return
		}
	}
}

// read hands on the queue's events; it begins anew where the queue cannot answer.
func (s *session) read(ctx context.Context, at events.Position, out chan<- incoming) {
	give := func(n incoming) bool {
		select {
		case out <- n:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for ctx.Err() == nil {
		r, err := events.Open(ctx, s.o.Queue, at)
		for err == nil {
			var e events.Event
			if e, err = r.Next(ctx); err == nil {
				at = r.Position()
				if !give(incoming{e: e, at: at}) {
					break
				}
			}
		}
		if r != nil {
			_ = r.Close()
		}
		if ctx.Err() != nil || !give(incoming{err: err}) {
			return
		}
		if errors.Is(err, events.ErrID) {
			at = events.Position{Since: time.Unix(1, 0)} // nothing that we wrote: all that is kept
		}
		sleep(ctx, s.retry)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (s *session) take(n incoming) {
	if n.err != nil {
		s.log.Warn("events cannot be read now", "error", n.err)
		return
	}
	if !s.choice.Wants(&n.e) {
		s.win.pass(n.at)
		s.moved(s.win.place)
		return
	}
	body, err := json.Marshal(n.e)
	if err != nil { // cannot be: strings, numbers, times
		s.log.Error("event cannot be written", "event", n.e.ID, "error", err)
		s.win.pass(n.at)
		return
	}
	e := &entry{id: n.e.ID, body: body, at: n.e.Time, after: n.at}
	if n.e.Message != nil {
		e.message = n.e.Message.QueueID
	}
	if n.e.Type == events.Gap {
		s.set(func(st *Status) { st.Gaps++ })
		s.log.Error("webhook fell behind: events are lost to it", "after", n.e.Gap.After, "until", n.e.Gap.Until)
	}
	s.win.add(e)
}

// dispatch begins what may begin, and returns how long until that may change.
func (s *session) dispatch(ctx context.Context, wg *sync.WaitGroup) time.Duration {
	limit := s.t.Concurrency
	if s.fails >= many {
		limit = 1
	}
	for s.busy < limit {
		now := s.o.Now()
		if d := s.pause.Sub(now); d > 0 {
			return d
		}
		e, wait := s.win.ready(now)
		if e == nil {
			if wait == 0 {
				wait = time.Hour
			}
			return wait
		}
		e.sending = true
		e.attempts++
		s.busy++
		body := e.body
		wg.Go(func() {
			r := s.client.send(ctx, e.id, body)
			select {
			case s.results <- answer{e, r}:
			case <-ctx.Done():
			}
		})
	}
	return time.Hour
}

// answered takes the end of an attempt; true when the target has stopped.
func (s *session) answered(a answer) bool {
	s.busy--
	a.e.sending = false
	now := s.o.Now()
	s.attempted(&a, now)
	switch {
	case a.r.err == nil:
		if s.fails >= many {
			s.pause = time.Time{}
			s.win.rush(now)
			s.log.Info("webhook takes events again")
		}
		s.fails = 0
		s.settle(a.e)
		return false
	case a.r.gone():
		s.stop("the target answered 410 Gone")
		return true
	}
	s.failed(&a, now)
	return false
}

func (s *session) settle(e *entry) {
	s.win.settle(e)
	s.moved(s.win.place)
}

func (s *session) failed(a *answer, now time.Time) {
	s.fails++
	if s.fails == many {
		s.log.Warn("webhook does not take events", "error", a.r.err)
	}
	if now.Sub(a.e.at) > s.t.Lifetime {
		s.log.Error("event given up", "event", a.e.id, "queue_id", a.e.message, "attempts", a.e.attempts, "error", a.r.err)
		s.set(func(st *Status) { st.Dropped++ })
		s.settle(a.e)
	} else {
		a.e.due = now.Add(max(s.backoff(a.e.attempts), a.r.wait))
	}
	pause := a.r.wait
	if s.fails >= many {
		pause = max(pause, s.backoff(s.fails-many+1))
	}
	if p := now.Add(pause); pause > 0 && p.After(s.pause) {
		s.pause = p
	}
}

// backoff doubles with each attempt, up to the bound; half of it is by chance.
func (s *session) backoff(n int) time.Duration {
	d := s.o.MinBackoff
	for i := 1; i < n && d < s.t.MaxBackoff; i++ {
		d *= 2
	}
	d = min(d, s.t.MaxBackoff)
	return d/2 + time.Duration(s.o.Rand()*float64(d/2))
}

func (s *session) attempted(a *answer, now time.Time) {
	s.set(func(st *Status) {
		st.Attempts++
		if a.r.err == nil {
			st.Delivered++
			st.LastSuccess = now
			return
		}
		st.Failures++
		st.LastError, st.LastErrorAt = cut(a.r.err.Error()), now
	})
}

// report shows where the session is.
func (s *session) report() {
	oldest, _ := s.win.oldest()
	s.set(func(st *Status) {
		st.Pending, st.oldest, st.State = s.win.waiting, oldest, Running
		if s.fails >= many {
			st.State = Retrying
		}
	})
}

const maxError = 300 // octets of an error that is shown

func cut(s string) string {
	if len(s) > maxError {
		s = s[:maxError]
	}
	return fmt.Sprintf("%+q", s)[1 : len(fmt.Sprintf("%+q", s))-1]
}
