package engine

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"mtad/queue"
)

// encodeEvents makes one record of the events of a batch.
func encodeEvents(dst []byte, at time.Time, evs []queue.Event) []byte {
	e := encoder{b: append(dst[:0], 0, 0, 0, 0, 0)}
	e.time(at)
	e.uint(uint64(len(evs)))
	for i := range evs {
		v := &evs[i]
		e.str(string(v.Kind))
		k := keyOf(v.ID)
		e.uint(k.msg)
		e.uint(uint64(k.part))
		e.byte(byte(v.State))
		e.str(v.Recipient)
		e.str(v.Text)
	}
	return seal(e.b)
}

func decodeEvents(b []byte) (time.Time, []queue.Event, error) {
	body, err := unseal(b)
	if err != nil {
		return time.Time{}, nil, err
	}
	d := decoder{b: body}
	at := d.time()
	evs := make([]queue.Event, d.count(6))
	for i := range evs {
		v := &evs[i]
		v.At = at
		v.Kind = queue.EventKind(d.str())
		msg, part := d.uint(), d.uint()
		if part > queue.MaxPart {
			d.fail()
			break
		}
		v.ID = queue.IDFromBits(msg, uint32(part))
		v.State = queue.State(d.byte())
		v.Recipient, v.Text = d.str(), d.str()
	}
	return at, evs, d.err
}

// place in the stream of events: the batch, and how many of its events were
// read.
type eventPlace struct {
	seq uint64
	n   int
}

func (p eventPlace) cursor() queue.Cursor {
	return queue.Cursor(strconv.FormatUint(p.seq, 10) + "." + strconv.Itoa(p.n))
}

func parseEventCursor(c queue.Cursor) (p eventPlace, err error) {
	seq, n, _ := strings.Cut(string(c), ".")
	if p.seq, err = strconv.ParseUint(seq, 10, 63); err == nil {
		p.n, err = strconv.Atoi(n)
	}
	if err != nil || p.n < 0 {
		return p, fmt.Errorf("%w: cursor", queue.ErrInvalid)
	}
	return p, nil
}

// Watch implements queue.Queue.
func (e *Engine) Watch(_ context.Context, after queue.Cursor) (queue.EventStream, error) {
	e.mu.Lock()
	err := e.usable()
	at := eventPlace{seq: e.told + 1} // a batch on its way is told
	e.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if after == "" {
		return &stream{e: e, at: at}, nil
	}
	p, err := parseEventCursor(after)
	if err != nil {
		return nil, err
	}
	switch first, err := e.firstEvents(); {
	case err != nil:
		return nil, err
	case p.seq > at.seq, p.seq < first:
		return nil, queue.ErrExpired
	}
	return &stream{e: e, at: p}, nil
}

// firstEvents is the oldest batch that is kept.
func (e *Engine) firstEvents() (uint64, error) {
	s, err := e.snapshot()
	if err != nil {
		return 0, err
	}
	defer s.Close()
	it, err := s.Range([]byte{kEvents}, []byte{kEvents + 1})
	if err != nil {
		return 0, unavailable("events", err)
	}
	defer it.Close()
	if it.Next() {
		return binary.BigEndian.Uint64(it.Key()[1:]), nil
	}
	return 0, unavailable("events", it.Err())
}

// stream reads events batch by batch.
type stream struct {
	e      *Engine
	at     eventPlace
	batch  []queue.Event // of at.seq
	loaded bool
	closed bool
}

// Next implements queue.EventStream.
func (s *stream) Next(ctx context.Context) (queue.Event, error) {
	for {
		if s.closed {
			return queue.Event{}, fmt.Errorf("%w: closed", queue.ErrInvalid)
		}
		if s.loaded && s.at.n < len(s.batch) {
			ev := s.batch[s.at.n]
			s.at.n++
			ev.Cursor = s.at.cursor()
			return ev, nil
		}
		if s.loaded {
			s.at, s.loaded = eventPlace{seq: s.at.seq + 1}, false
		}
		s.e.mu.Lock()
		err := s.e.usable()
		news, last := s.e.news, s.e.tot.seq
		s.e.mu.Unlock()
		if err != nil {
			return queue.Event{}, err
		}
		if s.at.seq <= last {
			found, err := s.load()
			if err != nil {
				return queue.Event{}, err
			}
			if found {
				continue
			}
		}
		select {
		case <-news:
		case <-ctx.Done():
			return queue.Event{}, ctx.Err()
		case <-s.e.ctx.Done():
			return queue.Event{}, queue.ErrUnavailable
		}
	}
}

// load reads the next batch that is durable.
func (s *stream) load() (bool, error) {
	s.e.vis.RLock()
	defer s.e.vis.RUnlock()
	it, err := s.e.log.Range(seqKey(nil, kEvents, s.at.seq), []byte{kEvents + 1})
	if err != nil {
		return false, unavailable("events", err)
	}
	defer it.Close()
	if !it.Next() {
		return false, unavailable("events", it.Err())
	}
	seq := binary.BigEndian.Uint64(it.Key()[1:])
	if seq != s.at.seq && s.at.n > 0 {
		s.at.n = 0
	}
	_, evs, err := decodeEvents(it.Value())
	if err != nil {
		s.e.slog.Error("events cannot be read", "batch", seq, "error", err)
		evs = nil
	}
	s.at.seq, s.batch, s.loaded = seq, evs, true
	return true, nil
}

// Close implements queue.EventStream.
func (s *stream) Close() error {
	s.closed, s.batch = true, nil
	return nil
}
