package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"mtad/api"
	"mtad/filterproto"
	"mtad/internal/events"
	"mtad/queue"
)

// streams counts the event streams that are open.
type streams struct {
	mu   sync.Mutex
	all  int
	each map[string]int
}

// enter takes a place; leave gives it back.
func (s *streams) enter(who string, l Limits) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= l.Streams || s.each[who] >= l.StreamsPerCaller {
		return false
	}
	if s.each == nil {
		s.each = map[string]int{}
	}
	s.all++
	s.each[who]++
	return true
}

func (s *streams) leave(who string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.each[who]--; s.each[who] <= 0 {
		delete(s.each, who)
	}
}

func (s *streams) count() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return float64(s.all)
}

// StreamEvents sends events as they happen (server-sent events).
func (h handlers) StreamEvents(ctx context.Context, req api.StreamEventsRequestObject) (api.StreamEventsResponseObject, error) {
	choice, err := chosen(req.Params)
	if err != nil {
		return nil, err
	}
	at, err := beginning(req.Params)
	if err != nil {
		return nil, err
	}
	who := callerOf(ctx).name
	if !h.streams.enter(who, h.limits) {
		e := fail(filterproto.CodeRateLimited, "too many event streams")
		e.RetryAfter = 10
		return nil, e
	}
	r, err := events.Open(ctx, h.queue, at)
	if err != nil {
		h.streams.leave(who)
		if errors.Is(err, events.ErrID) {
			return nil, failField(filterproto.CodeInvalidParameter, "after", "not the ID of an event")
		}
		return nil, err
	}
	return &eventStream{s: h.Server, ctx: ctx, r: r, choice: choice, leave: func() { h.streams.leave(who) }}, nil
}

func chosen(p api.StreamEventsParams) (c events.Choice, err error) {
	if len(p.Type) > len(events.Types()) {
		return c, failField(filterproto.CodeInvalidParameter, "type", "more types than there are")
	}
	for _, t := range p.Type {
		if !events.Known(events.Type(t)) {
			return c, failField(filterproto.CodeInvalidParameter, "type", "no such type of event")
		}
		c.Types = append(c.Types, events.Type(t))
	}
	if p.ID != "" {
		if c.ID, err = queue.ParseID(p.ID); err != nil {
			return c, failField(filterproto.CodeInvalidParameter, "id", "malformed queue ID")
		}
	}
	return c, nil
}

// beginning is where the stream starts. A client that reconnects by itself repeats
// the query and adds Last-Event-ID: that is the newer one.
func beginning(p api.StreamEventsParams) (events.Position, error) {
	for _, v := range [...]struct{ field, id string }{{"Last-Event-ID", p.LastEventID}, {"after", p.After}} {
		if v.id == "" {
			continue
		}
		if _, err := events.CursorOf(v.id); err != nil {
			return events.Position{}, failField(filterproto.CodeInvalidParameter, v.field, "not the ID of an event")
		}
		return events.Position{After: v.id}, nil
	}
	return events.Position{Since: p.Since}, nil
}

// eventStream writes events until the client or the server ends, or its time is
// over. It holds one event at a time: a client that reads slowly is waited for, up
// to Limits.StallTime, and then cut off; the queue waits for nobody.
type eventStream struct {
	s      *Server
	ctx    context.Context
	r      *events.Reader
	choice events.Choice
	leave  func()
	told   string // ID that the client knows
}

// VisitStreamEventsResponse writes the stream.
func (e *eventStream) VisitStreamEventsResponse(w http.ResponseWriter) error {
	defer e.leave()
	defer e.r.Close()
	ctx, cancel := context.WithTimeout(e.ctx, e.s.limits.StreamTime)
	defer cancel()
	defer context.AfterFunc(e.s.draining, cancel)()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	rc := http.NewResponseController(w)
	bw := bufio.NewWriter(w)
	_, _ = io.WriteString(bw, "retry: 3000\n\n")
	last := time.Time{} // of the last flush
	for {
		if time.Since(last) >= e.s.limits.Heartbeat || bw.Buffered() > 0 {
			if last.IsZero() || bw.Buffered() == 0 {
				e.beat(bw)
			}
			if bw.Flush() != nil || rc.Flush() != nil {
				return nil // the client is gone
			}
			last = time.Now()
		}
		if !e.next(ctx, bw) {
			return nil
		}
	}
}

// next waits for an event, for as long as a client may hear nothing. False ends
// the stream.
func (e *eventStream) next(ctx context.Context, bw *bufio.Writer) bool {
	short, cancel := context.WithTimeout(ctx, e.s.limits.Heartbeat)
	defer cancel()
	v, err := e.r.Next(short)
	switch {
	case err == nil:
		if e.choice.Wants(&v) {
			e.write(bw, &v)
		}
		return true
	case ctx.Err() != nil:
		return false
	case errors.Is(err, context.DeadlineExceeded):
		return true
	}
	if !errors.Is(err, queue.ErrUnavailable) {
		e.s.log.Error("events cannot be read", "error", err)
	}
	return false // the client comes again
}

func (e *eventStream) write(bw *bufio.Writer, v *events.Event) {
	data, err := json.Marshal(v)
	if err != nil { // cannot be: strings, numbers, times
		e.s.log.Error("event cannot be written", "event", v.ID, "error", err)
		return
	}
	e.told = v.ID
	for _, s := range [...]string{"id: ", v.ID, "\nevent: ", string(v.Type), "\ndata: "} {
		_, _ = bw.WriteString(s)
	}
	_, _ = bw.Write(data)
	_, _ = bw.WriteString("\n\n")
}

// beat writes a comment, and where the stream is when that is news: a client that
// wants few events need not go through all of them again.
func (e *eventStream) beat(bw *bufio.Writer) {
	_, _ = bw.WriteString(":\n")
	if id := e.r.Position().After; id != "" && id != e.told {
		e.told = id
		_, _ = bw.WriteString("id: " + id + "\n")
	}
	_, _ = bw.WriteString("\n")
}
