// Package eventstest plays a queue's events to what reads them.
package eventstest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"mtad/queue"
)

// Tape is a queue's events; the first ones may be gone.
type Tape struct {
	mu     sync.Mutex
	Events []queue.Event // for who has the Tape to himself
	gone   int
	news   chan struct{}
	start  time.Time
}

// NewTape makes an empty one.
func NewTape() *Tape {
	return &Tape{news: make(chan struct{}), start: time.Unix(1_700_000_000, 0)}
}

// Add appends an event: the nth is n seconds after the beginning.
func (p *Tape) Add(kind queue.EventKind, id queue.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.Events) + 1
	p.Events = append(p.Events, queue.Event{
		Cursor: place(n), At: p.start.Add(time.Duration(n) * time.Second), Kind: kind, ID: id,
		Facts: &queue.EventFacts{Origin: queue.OriginSMTP, ReversePath: "a@example.org"},
	})
	close(p.news)
	p.news = make(chan struct{})
}

func place(n int) queue.Cursor { return queue.Cursor(fmt.Sprintf("c%06d", n)) }

// Watch implements events.Source.
func (p *Tape) Watch(_ context.Context, after queue.Cursor) (queue.EventStream, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := len(p.Events)
	if t, ok := after.SinceTime(); ok {
		for at = p.gone; at < len(p.Events) && p.Events[at].At.Before(t); {
			at++
		}
	} else if after != "" {
		for at = 0; at <= len(p.Events) && place(at) != after; {
			at++
		}
		if at > len(p.Events) {
			return nil, queue.ErrInvalid
		}
		if at < p.gone {
			return nil, queue.ErrExpired
		}
	}
	return &stream{p, at}, nil
}

type stream struct {
	p  *Tape
	at int
}

// Next implements queue.EventStream.
func (s *stream) Next(ctx context.Context) (queue.Event, error) {
	for {
		s.p.mu.Lock()
		if s.at < s.p.gone {
			s.p.mu.Unlock()
			return queue.Event{}, queue.ErrExpired
		}
		if s.at < len(s.p.Events) {
			s.at++
			e := s.p.Events[s.at-1]
			s.p.mu.Unlock()
			return e, nil
		}
		news := s.p.news
		s.p.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
			return queue.Event{}, ctx.Err()
		}
	}
}

// Close implements queue.EventStream.
func (s *stream) Close() error { return nil }

// Forget drops the first n events, as time does.
func (p *Tape) Forget(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = n
}
