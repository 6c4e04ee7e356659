package engine

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"mtad/queue"
)

func someEvents() []queue.Event {
	at := time.Unix(1_700_000_000, 0).UTC()
	id := queue.IDFromBits(77, 0)
	f := &queue.EventFacts{Origin: queue.OriginHTTP, Parent: queue.IDFromBits(5, 0), ReversePath: "a@example.org", EnvID: "e1", Meta: map[string]string{"k": "v"}}
	return []queue.Event{
		{At: at, Kind: queue.EventAccepted, ID: id, Facts: f, Size: 10, Recipients: []string{"b@example.net"}, RecipientCount: 30},
		{At: at, Kind: queue.EventFiltered, ID: id, Facts: f, Verdict: &queue.Verdict{Filter: "scan", Disposition: "accept", Score: 1.5, Symbols: []string{"X"}, At: at}},
		{At: at, Kind: queue.EventHeld, ID: id, Facts: f, Hold: &queue.Hold{By: "filter:scan", Reason: "quarantine", Since: at}},
		{At: at, Kind: queue.EventDeferred, ID: id, Facts: f, Recipient: "b@example.net", Text: "450 4.2.1 busy", Transport: "smtp", NextHop: "example.net", Remote: "mx.example.net", NextAt: at},
		{At: at, Kind: queue.EventDeferred, ID: id, Facts: f, Summary: true, NextAt: at},
		{At: at, Kind: queue.EventFinished, ID: queue.IDFromBits(78, 2), Facts: &queue.EventFacts{}, Outcome: &queue.Outcome{Disposition: queue.Discarded, Reply: "no", At: at}},
		{At: at, Kind: queue.EventChanged, ID: id},
	}
}

func TestEventsAreReadAsTheyWereWritten(t *testing.T) {
	want := someEvents()
	want[len(want)-1].Facts = &queue.EventFacts{} // there is always an item
	at, got, err := decodeEvents(encodeEvents(nil, want[0].At, want))
	if err != nil || !at.Equal(want[0].At) {
		t.Fatal(at, err)
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("event %d:\n got %+v\nwant %+v", i, got[i], want[i])
		}
	}
}

func TestEventsOfAnEarlierReleaseAreRead(t *testing.T) {
	evs := someEvents()
	e := encoder{b: make([]byte, recordHeader)}
	e.time(evs[0].At)
	e.uint(1)
	e.str("accepted")
	e.uint(77)
	e.uint(0)
	e.byte(0)
	e.str("")
	e.str("text")
	_, got, err := decodeEvents(seal(e.b))
	if err != nil || len(got) != 1 || got[0].Text != "text" || got[0].Facts != nil {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAVerdictInAnEventIsBounded(t *testing.T) {
	v := eventVerdict(queue.Verdict{Symbols: strings.Split(strings.Repeat("SYMBOL ", 2000), " ")})
	if n := len(v.Symbols); n == 0 || n > queue.MaxEventSymbols/7+1 {
		t.Errorf("%d symbols", n)
	}
}

func TestMetaInAnEventIsBounded(t *testing.T) {
	it := queue.Item{Meta: map[string]string{"a": "1", "b": strings.Repeat("x", queue.MaxEventMeta), "c": "3"}}
	if f := it.EventFacts(); !f.MetaCut || len(f.Meta) != 1 || f.Meta["a"] != "1" {
		t.Errorf("facts %+v", f)
	}
}
