package httpapi

import (
	"context"
	"errors"
	"time"

	"mtad/api"
	"mtad/filterproto"
	"mtad/queue"
)

// CancelMessage takes a message back that nobody was delivered to. Parts that part
// ways end one by one: when one of them is on its way by then, the others are gone
// all the same, and the status tells which.
func (h handlers) CancelMessage(ctx context.Context, req api.CancelMessageRequestObject) (api.CancelMessageResponseObject, error) {
	id, err := parseID(req.ID)
	if err != nil {
		return nil, err
	}
	id = id.Message()
	items, err := h.queue.History(ctx, id)
	if err != nil {
		return nil, about(id, err)
	}
	who := callerOf(ctx)
	if !who.has(ScopeQueueWrite) && !who.handedIn(items) {
		return nil, about(id, queue.ErrNotFound) // it tells nobody that there is such a message
	}
	late := fail(filterproto.CodeNotCancellable, "delivery has begun or is over")
	if cancelled(items) {
		return api.CancelMessage204Response{}, nil
	}
	for i := range items {
		if !cancellable(&items[i]) {
			return nil, about(id, late)
		}
	}
	for i := range items {
		it := &items[i]
		_, err := h.queue.Apply(ctx, queue.Txn{
			// A filter's lease is broken; nothing that is Active gets here.
			ID: it.ID, Rev: it.Rev, Force: it.State == queue.Unfiltered, By: who.by(),
			Ops: []queue.Op{queue.Finish{Disposition: queue.Deleted, Reply: "cancelled by " + who.name}},
		})
		switch {
		case errors.Is(err, queue.ErrConflict), errors.Is(err, queue.ErrNotFound):
			return nil, about(id, late)
		case err != nil:
			return nil, about(id, err)
		}
	}
	return api.CancelMessage204Response{}, nil
}

// cancelled says that a message was taken back before: that is what the caller
// wants, however often he asks.
func cancelled(items []queue.Item) bool {
	for i := range items {
		if o := items[i].Outcome; o == nil || o.Disposition != queue.Deleted {
			return false
		}
	}
	return true
}

// cancellable says that nobody was delivered to, and nobody is being.
func cancellable(it *queue.Item) bool {
	if it.Outcome != nil || it.State == queue.Active {
		return it.Outcome != nil && it.Outcome.Disposition == queue.Deleted
	}
	for i := range it.Envelope.Recipients {
		if s := it.Envelope.Recipients[i].Status; s != queue.Pending && s != queue.Removed {
			return false
		}
	}
	return true
}

// maxSchedule is how far ahead a message may be sent.
const maxSchedule = 30 * 24 * time.Hour

// schedule checks when a message is to be sent.
func (s *Server) schedule(at time.Time) (time.Time, error) {
	now := s.now()
	switch {
	case at.IsZero(), !at.After(now):
		return time.Time{}, nil // at once
	case at.After(now.Add(maxSchedule)):
		return time.Time{}, wrong("send_at", "more than 30 days ahead")
	}
	return at, nil
}
