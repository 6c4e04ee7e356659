package queue

import (
	"fmt"
	"strings"
	"time"
)

// MetaRedirected is the key of Item.Meta that remembers the reverse-path, in
// brackets, of an item before it was redirected.
const MetaRedirected = "redirect.reverse-path"

// Redirect sends an item to another recipient in place of those that are pending.
type Redirect struct {
	// To is the recipient, with its route.
	To Recipient `json:"to"`
	// ReversePath is who is told when To cannot be reached. The original sender is
	// not: what an operator did with the message is none of its concern.
	ReversePath string `json:"reverse_path"`
}

// Ops is the change for an item as Queue.Get shows it. Pending recipients stay in
// the item with the status Removed, for the record: nobody is told of them. A
// hold ends; filters that the item has not passed are left out. ErrConflict when
// nothing is pending, or when To was served or refused before.
func (r Redirect) Ops(it *Item, by string) ([]Op, error) {
	reply := "redirected to " + r.To.Path
	var updates []RecipientUpdate
	pending, known := 0, false
	for i, rc := range it.Envelope.Recipients {
		same := rc.Path == r.To.Path
		known = known || same
		switch {
		case same && (rc.Status == Pending || rc.Status == Removed):
			updates = append(updates, RecipientUpdate{Index: i, Status: Pending, Reply: reply, Transport: r.To.Transport, NextHop: r.To.NextHop})
		case same:
			return nil, fmt.Errorf("%w: %s is %s already", ErrConflict, rc.Path, rc.Status)
		case rc.Status == Pending:
			updates = append(updates, RecipientUpdate{Index: i, Status: Removed, Reply: reply})
		}
		if rc.Status == Pending {
			pending++
		}
	}
	if pending == 0 {
		return nil, fmt.Errorf("%w: no recipient is pending", ErrConflict)
	}
	ops := []Op{
		Note{Kind: EventChanged, Text: cutText(reply + " by " + by)},
		ReleaseHold{}, UpdateRecipients{Updates: updates}, SetReversePath{Path: r.ReversePath},
	}
	if !known {
		ops = append(ops, AddRecipients{Recipients: []Recipient{r.To}})
	}
	if it.Meta[MetaRedirected] == "" {
		ops = append(ops, SetMeta{Set: map[string]string{MetaRedirected: "<" + it.Envelope.ReversePath + ">"}})
	}
	if it.State == Incoming {
		return append(ops, SetNextAt{At: time.Time{}}), nil
	}
	return append(ops, Move{To: Incoming}), nil
}

func cutText(s string) string {
	if len(s) <= MaxText {
		return s
	}
	return strings.ToValidUTF8(s[:MaxText], "")
}
