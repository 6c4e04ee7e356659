package engine

import (
	"context"
	"encoding/binary"
	"errors"
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
	e.more(evs)
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
	d.more(evs)
	return at, evs, d.err
}

// eventPlace is a place in the stream of events: the batch, and how many of its
// events were read. The place after the last event of a batch is the beginning of
// the next one, so that the batch need not be kept for it.
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

// publish lets readers see the events of everything that was settled, now that it
// is on stable storage. mu is held.
func (e *Engine) publish() {
	if e.synced == e.told {
		return
	}
	e.synced = e.told
	close(e.news)
	e.news = make(chan struct{})
}

// Watch implements queue.Queue.
func (e *Engine) Watch(_ context.Context, after queue.Cursor) (queue.EventStream, error) {
	e.mu.Lock()
	err := e.usable()
	end := e.told + 1 // a batch on its way is told
	e.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if after == "" {
		return &stream{e: e, at: eventPlace{seq: end}}, nil
	}
	if t, ok := after.SinceTime(); ok {
		p, err := e.eventsSince(t, end)
		return &stream{e: e, at: p}, err
	}
	p, err := parseEventCursor(after)
	if err != nil {
		return nil, err
	}
	switch first, err := e.firstEvents(end); {
	case err != nil:
		return nil, err
	case p.seq > end, p.seq < first:
		return nil, queue.ErrExpired
	}
	return &stream{e: e, at: p}, nil
}

// firstEvents is the oldest batch that is kept, end when there is none.
func (e *Engine) firstEvents(end uint64) (uint64, error) {
	seq, _, err := e.eventsFrom(0)
	if errors.Is(err, ErrNoKey) {
		return end, nil
	}
	return seq, err
}

// eventsSince is the place of the first event at t or after it, end when there is
// none. Batches are in the order of their times, as far as the clock was.
func (e *Engine) eventsSince(t time.Time, end uint64) (eventPlace, error) {
	lo, err := e.firstEvents(end)
	hi := end
	for err == nil && lo < hi {
		mid := lo + (hi-lo)/2
		var seq uint64
		var at time.Time
		switch seq, at, err = e.eventsFrom(mid); {
		case errors.Is(err, ErrNoKey):
			hi, err = mid, nil
		case err != nil:
		case at.Before(t):
			lo = seq + 1
		default:
			hi = mid
		}
	}
	return eventPlace{seq: lo}, err
}

// eventsFrom finds the first batch from seq on, ErrNoKey when there is none.
func (e *Engine) eventsFrom(seq uint64) (uint64, time.Time, error) {
	e.vis.RLock()
	defer e.vis.RUnlock()
	it, err := e.log.Range(seqKey(nil, kEvents, seq), []byte{kEvents + 1})
	if err != nil {
		return 0, time.Time{}, unavailable("events", err)
	}
	defer it.Close()
	if !it.Next() {
		if err := it.Err(); err != nil {
			return 0, time.Time{}, unavailable("events", err)
		}
		return 0, time.Time{}, ErrNoKey
	}
	var at time.Time
	if body, err := unseal(it.Value()); err == nil {
		at = (&decoder{b: body}).time()
	}
	return binary.BigEndian.Uint64(it.Key()[1:]), at, nil
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
			return s.take(), nil
		}
		if s.loaded {
			s.at, s.loaded = eventPlace{seq: s.at.seq + 1}, false
		}
		s.e.mu.Lock()
		err := s.e.usable()
		news, last := s.e.news, s.e.synced
		s.e.mu.Unlock()
		if err != nil {
			return queue.Event{}, err
		}
		if s.at.seq <= last {
			if err := s.load(); err != nil {
				return queue.Event{}, err
			}
			continue
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

// take is the next event of the batch.
func (s *stream) take() queue.Event {
	ev := s.batch[s.at.n]
	s.at.n++
	if s.at.n == len(s.batch) {
		s.at, s.loaded, s.batch = eventPlace{seq: s.at.seq + 1}, false, nil
	}
	ev.Cursor = s.at.cursor()
	return ev
}

// load reads the batch of s.at. Batches are numbered without gaps: one that is
// missing is not kept any more.
func (s *stream) load() error {
	s.e.vis.RLock()
	defer s.e.vis.RUnlock()
	b, err := s.e.log.Get(seqKey(nil, kEvents, s.at.seq), nil)
	switch {
	case errors.Is(err, ErrNoKey):
		return fmt.Errorf("engine: events of batch %d: %w", s.at.seq, queue.ErrExpired)
	case err != nil:
		return unavailable("events", err)
	}
	_, evs, err := decodeEvents(b)
	if err != nil {
		s.e.slog.Error("events cannot be read", "batch", s.at.seq, "error", err)
		evs = nil
	}
	s.batch, s.loaded = evs, true
	return nil
}

// Close implements queue.EventStream.
func (s *stream) Close() error {
	s.closed, s.batch = true, nil
	return nil
}
