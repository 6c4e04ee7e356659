package events

import (
	"slices"
	"time"

	"mtad/queue"
)

// Type says what happened.
type Type string

// The types. Gap and Test are about no message.
const (
	Accepted  Type = "accepted"  // a message was taken over
	Filtered  Type = "filtered"  // a filter gave its verdict
	Delivered Type = "delivered" // a recipient: in a mailbox, or taken by the next hop
	Deferred  Type = "deferred"  // a recipient: tried without success, or not tried; later again
	Bounced   Type = "bounced"   // a recipient: failed for good
	Held      Type = "held"      // by an operator, or in a filter's quarantine
	Released  Type = "released"
	Rejected  Type = "rejected"  // refused while its client waited
	Discarded Type = "discarded" // dropped on a filter's word
	Deleted   Type = "deleted"   // dropped on an operator's word
	Gap       Type = "gap"       // events before this one are lost to the reader
	Test      Type = "test"      // sent on demand
)

// Types returns those that a reader can choose from.
func Types() []Type {
	return []Type{Accepted, Filtered, Delivered, Deferred, Bounced, Held, Released, Rejected, Discarded, Deleted}
}

// Known reports whether t is one of Types.
func Known(t Type) bool { return slices.Contains(Types(), t) }

// Event is one event as the world sees it. Type "" is one that it is not told of.
type Event struct {
	ID      string    `json:"id"`
	Type    Type      `json:"type"`
	Time    time.Time `json:"time"`
	Message *Message  `json:"message,omitempty"`

	Recipient *Recipient `json:"recipient,omitempty"` // delivered, deferred, bounced
	// Recipients are the first addresses of an event about the whole message.
	Recipients     []string `json:"recipients,omitempty"`
	RecipientCount int      `json:"recipient_count,omitempty"`
	Size           int64    `json:"size,omitempty"` // octets of content, accepted

	NextAttempt time.Time `json:"next_attempt,omitzero"` // deferred
	Verdict     *Verdict  `json:"verdict,omitempty"`     // filtered
	Hold        *Hold     `json:"hold,omitempty"`        // held
	Reason      string    `json:"reason,omitempty"`      // rejected, discarded, deleted, deferred
	Gap         *GapInfo  `json:"gap,omitempty"`
}

// Message says which message an event is about.
type Message struct {
	QueueID string `json:"queue_id"`
	// Item is QueueID with a part's number when the message was split.
	Item        string            `json:"item"`
	Parent      string            `json:"parent,omitempty"`
	Origin      string            `json:"origin,omitempty"`
	ReversePath string            `json:"reverse_path"` // "" is the null reverse-path
	EnvID       string            `json:"envid,omitempty"`
	Meta        map[string]string `json:"meta,omitempty"`
	MetaCut     bool              `json:"meta_cut,omitempty"`
}

// Recipient is one recipient's state.
type Recipient struct {
	Address   string `json:"address"`
	Status    string `json:"status"` // pending, delivered, relayed, failed
	Reply     string `json:"reply,omitempty"`
	Transport string `json:"transport,omitempty"`
	NextHop   string `json:"next_hop,omitempty"`
	Remote    string `json:"remote,omitempty"` // the host that gave Reply
}

// Verdict is a filter's answer.
type Verdict struct {
	Filter      string   `json:"filter"`
	Disposition string   `json:"disposition"`
	Score       float64  `json:"score,omitempty"`
	Symbols     []string `json:"symbols,omitempty"`
	Reply       string   `json:"reply,omitempty"`
	Reason      string   `json:"reason,omitempty"`
}

// Hold says who holds a message, and why.
type Hold struct {
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	Until  time.Time `json:"until,omitzero"`
}

// GapInfo says what a reader missed: the events after After (an ID, "" when it
// never had one) and before Until.
type GapInfo struct {
	After string    `json:"after,omitempty"`
	Until time.Time `json:"until"`
}

// of makes what the world sees of a queue's event.
func of(v *queue.Event) Event {
	e := Event{ID: idOf(v.At, v.Cursor), Type: typeOf(v), Time: v.At.UTC()}
	if e.Type == "" {
		return e
	}
	e.Message = messageOf(v)
	e.Recipients, e.RecipientCount, e.Size, e.NextAttempt = v.Recipients, v.RecipientCount, v.Size, v.NextAt
	switch {
	case v.Recipient != "":
		e.Recipient = &Recipient{
			Address: v.Recipient, Status: v.Status.String(), Reply: v.Text,
			Transport: v.Transport, NextHop: v.NextHop, Remote: v.Remote,
		}
	case v.Verdict != nil:
		e.Verdict = &Verdict{
			Filter: v.Verdict.Filter, Disposition: v.Verdict.Disposition, Score: v.Verdict.Score,
			Symbols: v.Verdict.Symbols, Reply: v.Verdict.Reply, Reason: v.Verdict.Reason,
		}
	case v.Hold != nil:
		e.Hold = &Hold{By: v.Hold.By, Reason: v.Hold.Reason, Until: v.Hold.Until}
	case v.Outcome != nil:
		e.Reason = v.Outcome.Reply
	case v.Kind == queue.EventHeld:
		e.Hold = &Hold{Reason: v.Text}
	}
	return e
}

func messageOf(v *queue.Event) *Message {
	m := &Message{QueueID: string(v.ID.Message()), Item: string(v.ID)}
	if f := v.Facts; f != nil {
		m.Origin, m.Parent, m.ReversePath = f.Origin.String(), string(f.Parent), f.ReversePath
		m.EnvID, m.Meta, m.MetaCut = f.EnvID, f.Meta, f.MetaCut
	}
	return m
}

func typeOf(v *queue.Event) Type {
	if v.Summary {
		return ""
	}
	switch v.Kind {
	case queue.EventAccepted:
		return Accepted
	case queue.EventFiltered:
		if v.Verdict != nil {
			return Filtered
		}
	case queue.EventDelivered:
		return Delivered
	case queue.EventDeferred:
		return Deferred
	case queue.EventFailed:
		return Bounced
	case queue.EventHeld:
		return Held
	case queue.EventReleased:
		return Released
	case queue.EventFinished:
		return endOf(v.Outcome)
	}
	return ""
}

func endOf(o *queue.Outcome) Type {
	if o == nil {
		return ""
	}
	switch o.Disposition {
	case queue.Rejected:
		return Rejected
	case queue.Discarded:
		return Discarded
	case queue.Deleted:
		return Deleted
	}
	return ""
}
