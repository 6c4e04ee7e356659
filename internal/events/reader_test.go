package events_test

import (
	"errors"
	"testing"
	"time"

	"mtad/internal/events"
	"mtad/internal/events/eventstest"
	"mtad/queue"
)

var one = queue.IDFromBits(1, 0)

func filled(n int) *eventstest.Tape {
	p := eventstest.NewTape()
	for range n {
		p.Add(queue.EventAccepted, one)
	}
	return p
}

func open(t *testing.T, p *eventstest.Tape, at events.Position) *events.Reader {
	t.Helper()
	r, err := events.Open(t.Context(), p, at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func next(t *testing.T, r *events.Reader) events.Event {
	t.Helper()
	e, err := r.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestAReaderGoesOnAfterEveryID(t *testing.T) {
	p := filled(5)
	r := open(t, p, events.Position{Since: time.Unix(1, 0)})
	var ids []string
	for range 5 {
		ids = append(ids, next(t, r).ID)
	}
	for i, id := range ids[:4] {
		if got := next(t, open(t, p, events.Position{After: id})).ID; got != ids[i+1] {
			t.Errorf("after %s: %s, want %s", id, got, ids[i+1])
		}
	}
	if r.Position() != (events.Position{After: ids[4]}) {
		t.Errorf("position %+v", r.Position())
	}
}

func TestLostEventsAreToldAsAGap(t *testing.T) {
	for name, begin := range map[string]func(t *testing.T, p *eventstest.Tape, id string) *events.Reader{
		"while the reader is open": func(t *testing.T, p *eventstest.Tape, _ string) *events.Reader {
			r := open(t, p, events.Position{Since: time.Unix(1, 0)})
			next(t, r)
			p.Forget(3)
			return r
		},
		"before it opens": func(t *testing.T, p *eventstest.Tape, id string) *events.Reader {
			p.Forget(3)
			return open(t, p, events.Position{After: id})
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := filled(5)
			first := next(t, open(t, p, events.Position{Since: time.Unix(1, 0)})).ID
			r := begin(t, p, first)
			e := next(t, r)
			if e.Type != events.Gap || e.Gap.After != first || !e.Gap.Until.Equal(p.Events[3].At) {
				t.Fatalf("event %+v gap %+v", e, e.Gap)
			}
			fourth := next(t, r)
			if fourth.Type != events.Accepted || !fourth.Time.Equal(p.Events[3].At) {
				t.Errorf("after the gap: %+v", fourth)
			}
			if again := next(t, open(t, p, events.Position{After: e.ID})); again.ID != fourth.ID {
				t.Errorf("resumed after the gap: %s, want %s", again.ID, fourth.ID)
			}
		})
	}
}

func TestAnIDOfSomebodyElseIsRefused(t *testing.T) {
	for _, id := range []string{"x", "-", "1-", "zz-1", "1-a b", "01-c000001", "1-c000099", "1-\x00"} {
		if _, err := events.Open(t.Context(), filled(2), events.Position{After: id}); !errors.Is(err, events.ErrID) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestTypesAreThoseOfTheWorld(t *testing.T) {
	v := &queue.Verdict{Filter: "scan", Disposition: "accept"}
	for _, c := range []struct {
		v    queue.Event
		want events.Type
	}{
		{queue.Event{Kind: queue.EventFiltered, Verdict: v}, events.Filtered},
		{queue.Event{Kind: queue.EventFiltered, Text: "incoming"}, ""},
		{queue.Event{Kind: queue.EventFailed, Recipient: "b@x"}, events.Bounced},
		{queue.Event{Kind: queue.EventBounced, Summary: true}, ""},
		{queue.Event{Kind: queue.EventDeferred, Summary: true}, ""},
		{queue.Event{Kind: queue.EventDeferred}, events.Deferred},
		{queue.Event{Kind: queue.EventFinished, Outcome: &queue.Outcome{Disposition: queue.Done}}, ""},
		{queue.Event{Kind: queue.EventFinished, Outcome: &queue.Outcome{Disposition: queue.Discarded}}, events.Discarded},
		{queue.Event{Kind: queue.EventFinished, Outcome: &queue.Outcome{Disposition: queue.Rejected}}, events.Rejected},
		{queue.Event{Kind: queue.EventFinished, Outcome: &queue.Outcome{Disposition: queue.Deleted}}, events.Deleted},
		{queue.Event{Kind: queue.EventSplit}, ""},
	} {
		p := eventstest.NewTape()
		p.Add(c.v.Kind, one)
		c.v.Cursor, c.v.At, c.v.ID = p.Events[0].Cursor, p.Events[0].At, one
		p.Events[0] = c.v
		if got := next(t, open(t, p, events.Position{Since: time.Unix(1, 0)})); got.Type != c.want {
			t.Errorf("%+v: %q, want %q", c.v, got.Type, c.want)
		}
	}
}

func TestAChoiceOfOneMessageHasItsPartsAndReports(t *testing.T) {
	c := events.Choice{ID: one, Types: []events.Type{events.Delivered}}
	for _, x := range []struct {
		e    events.Event
		want bool
	}{
		{events.Event{Type: events.Delivered, Message: &events.Message{QueueID: string(one), Item: string(one) + ".2"}}, true},
		{events.Event{Type: events.Delivered, Message: &events.Message{QueueID: "X", Item: "X", Parent: string(one)}}, true},
		{events.Event{Type: events.Delivered, Message: &events.Message{QueueID: "X", Item: "X"}}, false},
		{events.Event{Type: events.Accepted, Message: &events.Message{QueueID: string(one)}}, false},
		{events.Event{Type: events.Gap}, true},
		{events.Event{}, false},
	} {
		if got := c.Wants(&x.e); got != x.want {
			t.Errorf("%+v: %v", x.e, got)
		}
	}
}

func FuzzID(f *testing.F) {
	for _, s := range []string{"1a205b86f41-4.0", "0-@5", "", "-", "ffffffffffffffff-1", "1-1\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := events.CursorOf(s)
		if err != nil {
			return
		}
		if len(s) > events.MaxID || c == "" {
			t.Errorf("%q is taken for %q", s, c)
		}
		for _, b := range []byte(s) {
			if b <= ' ' || b > '~' {
				t.Errorf("%q holds what has no place in a header field", s)
			}
		}
	})
}
