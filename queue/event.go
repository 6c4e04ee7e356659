package queue

import (
	"maps"
	"slices"
	"strconv"
	"time"
)

// Event is one thing that happened, as committed. Like Item it is a copy that
// the caller owns, but for what hangs on pointers and in maps: read those only.
type Event struct {
	Cursor    Cursor    `json:"cursor"` // the place after this event
	At        time.Time `json:"at"`
	Kind      EventKind `json:"kind"`
	ID        ID        `json:"id"`
	State     State     `json:"state"`
	Recipient string    `json:"recipient,omitempty"`
	Text      string    `json:"text,omitempty"` // of a recipient: its last reply

	// Summary: other events of the same change say the same in detail.
	Summary bool `json:"summary,omitempty"`
	// Facts are the item's. Nil where they were not kept.
	Facts *EventFacts `json:"facts,omitempty"`

	// Of a recipient.
	Status                     RecipientStatus `json:"status,omitempty"`
	Transport, NextHop, Remote string          `json:"-"`

	// Of an item: the first MaxEventRecipients paths (EventAccepted, and
	// EventDeferred without a recipient), and how many there are.
	Recipients     []string `json:"recipients,omitempty"`
	RecipientCount int      `json:"recipient_count,omitempty"`
	Size           int64    `json:"size,omitempty"` // octets, of EventAccepted

	NextAt  time.Time `json:"next_at,omitzero"`  // of EventDeferred
	Verdict *Verdict  `json:"verdict,omitempty"` // of EventFiltered; symbols are cut at MaxEventSymbols
	Hold    *Hold     `json:"hold,omitempty"`    // of EventHeld
	Outcome *Outcome  `json:"outcome,omitempty"` // of EventFinished
}

// EventFacts say which message an event is about.
type EventFacts struct {
	Origin      Origin `json:"origin"`
	Parent      ID     `json:"parent,omitempty"`
	ReversePath string `json:"reverse_path"`
	EnvID       string `json:"envid,omitempty"`
	// Meta are the entries of Item.Meta that fit into MaxEventMeta, in the order of
	// their keys. MetaCut: some did not.
	Meta    map[string]string `json:"meta,omitempty"`
	MetaCut bool              `json:"meta_cut,omitempty"`
}

// Bounds of an Event.
const (
	MaxEventRecipients = 20   // paths
	MaxEventMeta       = 1024 // octets of keys and values
	MaxEventSymbols    = 1024 // octets of a verdict's symbols
)

// EventFacts returns the facts for the item's events.
func (it *Item) EventFacts() *EventFacts {
	f := &EventFacts{Origin: it.Origin, Parent: it.Parent, ReversePath: it.Envelope.ReversePath, EnvID: it.Envelope.EnvID}
	room := MaxEventMeta
	for _, k := range slices.Sorted(maps.Keys(it.Meta)) {
		v := it.Meta[k]
		if room -= len(k) + len(v); room < 0 {
			f.MetaCut = true
			break
		}
		if f.Meta == nil {
			f.Meta = make(map[string]string, len(it.Meta))
		}
		f.Meta[k] = v
	}
	return f
}

// Equal compares two facts; nil equals nil alone.
func (f *EventFacts) Equal(o *EventFacts) bool {
	if f == nil || o == nil || f == o {
		return f == o
	}
	return f.Origin == o.Origin && f.Parent == o.Parent && f.ReversePath == o.ReversePath &&
		f.EnvID == o.EnvID && f.MetaCut == o.MetaCut && maps.Equal(f.Meta, o.Meta)
}

// sinceMark begins a cursor that names a time.
const sinceMark = "@"

// Since is a cursor for Watch: events from t on, as far as they are kept. It never
// expires; the zero time asks for everything that is kept.
func Since(t time.Time) Cursor {
	n := int64(0)
	if !t.IsZero() {
		n = max(t.UnixNano(), 0)
	}
	return Cursor(sinceMark + strconv.FormatInt(n, 10))
}

// SinceTime reads a cursor that Since made; ok is false for any other.
func (c Cursor) SinceTime() (t time.Time, ok bool) {
	if len(c) < 2 || c[:1] != sinceMark {
		return time.Time{}, false
	}
	n, err := strconv.ParseInt(string(c[1:]), 10, 64)
	if err != nil || n < 0 {
		return time.Time{}, false
	}
	return time.Unix(0, n).UTC(), true
}
