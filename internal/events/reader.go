package events

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mtad/queue"
)

// Source is what a Reader needs of a queue.Queue.
type Source interface {
	Watch(ctx context.Context, after queue.Cursor) (queue.EventStream, error)
}

// Reader reads events in order. It is not safe for concurrent use.
type Reader struct {
	q    Source
	s    queue.EventStream
	at   Position
	next *Event // read already
}

// Open begins to read. ErrID when at is malformed; the queue's errors otherwise,
// but not queue.ErrExpired: the first event is then a gap.
func Open(ctx context.Context, q Source, at Position) (*Reader, error) {
	c, err := at.Cursor()
	if err != nil {
		return nil, err
	}
	r := &Reader{q: q, at: at}
	r.s, err = q.Watch(ctx, c)
	switch {
	case errors.Is(err, queue.ErrExpired):
		return r, r.gap(ctx)
	case errors.Is(err, queue.ErrInvalid):
		return nil, ErrID
	case err != nil:
		return nil, fmt.Errorf("events: %w", err)
	}
	return r, nil
}

// Next waits for the next event. It returns those of no Type, too, so that a
// reader's place moves on where nothing is told.
func (r *Reader) Next(ctx context.Context) (Event, error) {
	if r.next == nil {
		v, err := r.s.Next(ctx)
		switch {
		case errors.Is(err, queue.ErrExpired):
			if err := r.gap(ctx); err != nil {
				return Event{}, err
			}
		case err != nil:
			return Event{}, err
		default:
			e := of(&v)
			r.next = &e
		}
	}
	e := *r.next
	r.next = nil
	r.at = Position{After: e.ID}
	return e, nil
}

// Position is where a Reader opened later goes on: after the last event of Next.
func (r *Reader) Position() Position { return r.at }

// Close ends reading.
func (r *Reader) Close() error {
	if r.s == nil {
		return nil
	}
	return r.s.Close()
}

// peek bounds the wait for the event after a gap.
const peek = time.Second

// gap makes the next event one that says what is missing, and goes on with what
// the queue has.
func (r *Reader) gap(ctx context.Context) error {
	_ = r.Close()
	until := time.Now().UTC()
	var err error
	if r.s, err = r.q.Watch(ctx, queue.Since(time.Time{})); err != nil {
		return fmt.Errorf("events: %w", err)
	}
	short, cancel := context.WithTimeout(ctx, peek)
	defer cancel()
	if v, err := r.s.Next(short); err == nil {
		until = v.At
	} else if short.Err() == nil {
		return fmt.Errorf("events: %w", err)
	}
	_ = r.s.Close()
	if r.s, err = r.q.Watch(ctx, queue.Since(until)); err != nil {
		return fmt.Errorf("events: %w", err)
	}
	r.next = &Event{ID: idOf(until, queue.Since(until)), Type: Gap, Time: until.UTC(), Gap: &GapInfo{After: r.at.After, Until: until.UTC()}}
	return nil
}
