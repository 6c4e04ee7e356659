package queuetest

import (
	"context"
	"fmt"
	"strconv"

	"mtad/queue"
)

// tell makes an event known, or keeps it until the message is committed.
func (m *Model) tell(msg *message, e queue.Event) {
	if msg.staged {
		msg.waiting = append(msg.waiting, e)
		return
	}
	e.Cursor = queue.Cursor(strconv.Itoa(len(m.state.events) + 1))
	m.state.events = append(m.state.events, e)
}

func (m *Model) tellAll(msg *message, events []queue.Event) {
	for _, e := range events {
		m.tell(msg, e)
	}
}

// Watch streams events; a Model keeps all of them.
func (m *Model) Watch(ctx context.Context, after queue.Cursor) (queue.EventStream, error) {
	_, err := m.enter()
	defer m.leave()
	if err != nil {
		return nil, err
	}
	next := len(m.state.events)
	if t, ok := after.SinceTime(); ok {
		next = 0
		for next < len(m.state.events) && m.state.events[next].At.Before(t) {
			next++
		}
	} else if after != "" {
		next, err = strconv.Atoi(string(after))
		switch {
		case err != nil || next < 0:
			return nil, fmt.Errorf("%w: cursor", queue.ErrInvalid)
		case next > len(m.state.events):
			return nil, queue.ErrExpired
		}
	}
	return &stream{m, next}, nil
}

type stream struct {
	m    *Model
	next int
}

func (s *stream) Next(ctx context.Context) (queue.Event, error) {
	for {
		e, changed, err := s.try()
		if e != nil || err != nil {
			return *e, err
		}
		select {
		case <-ctx.Done():
			return queue.Event{}, ctx.Err()
		case <-changed:
		}
	}
}

func (s *stream) try() (*queue.Event, <-chan struct{}, error) {
	_, err := s.m.enter()
	defer s.m.leave()
	if err != nil {
		return &queue.Event{}, nil, err
	}
	if s.next == len(s.m.state.events) {
		return nil, s.m.changed, nil
	}
	s.next++
	return &s.m.state.events[s.next-1], nil, nil
}

func (s *stream) Close() error { return nil }
