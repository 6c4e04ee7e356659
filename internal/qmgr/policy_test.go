package qmgr

import (
	"testing"
	"time"

	"mtad/queue"
)

// A message that was held for longer than messages live is tried as a new one is
// when it is let go.
func TestTheLifetimeBeginsAnewWhenAHoldEnds(t *testing.T) {
	p := policy{lifetime: 5 * time.Hour, nullLifetime: time.Hour}
	born := time.Unix(1e9, 0)
	it := queue.Item{Created: born, Trail: []queue.Step{
		{At: born, Kind: queue.EventAccepted}, {At: born.Add(90 * time.Hour), Kind: queue.EventReleased},
		{At: born.Add(100 * time.Hour), Kind: queue.EventReleased}, {At: born.Add(200 * time.Hour), Kind: queue.EventChanged},
	}}
	if got := p.expires(&it); !got.Equal(born.Add(101 * time.Hour)) {
		t.Errorf("a report: %v", got)
	}
	it.Envelope.ReversePath = "a@example.org"
	if got := p.expires(&it); !got.Equal(born.Add(105 * time.Hour)) {
		t.Errorf("a message: %v", got)
	}
	it.Expires = born.Add(time.Hour)
	if got := p.expires(&it); !got.Equal(it.Expires) {
		t.Errorf("one with an end of its own: %v", got)
	}
	it.Expires, it.Trail = time.Time{}, it.Trail[:1]
	if got := p.expires(&it); !got.Equal(born.Add(5 * time.Hour)) {
		t.Errorf("one that was never held: %v", got)
	}
}

// What is to be sent in a month lives from then on.
func TestTheLifetimeBeginsWhenAMessageIsToBeSent(t *testing.T) {
	p := policy{lifetime: 5 * time.Hour, delayWarning: time.Hour}
	born := time.Unix(1e9, 0).UTC()
	at := born.Add(700 * time.Hour)
	it := queue.Item{Created: born, Meta: map[string]string{queue.MetaSendAt: at.Format(time.RFC3339)}}
	it.Envelope = queue.Envelope{ReversePath: "a@example.org", Recipients: []queue.Recipient{{Path: "b@example.net", Notify: queue.NotifyDelay}}}
	if got := p.expires(&it); !got.Equal(at.Add(5 * time.Hour)) {
		t.Errorf("it ends at %v", got)
	}
	if p.warn(&it, 0, at) || !p.warn(&it, 0, at.Add(time.Hour)) {
		t.Error("the delay is counted from its birth")
	}
	it.Meta[queue.MetaSendAt] = "nonsense"
	if got := p.expires(&it); !got.Equal(born.Add(5 * time.Hour)) {
		t.Errorf("with a time that nobody can read: %v", got)
	}
}
