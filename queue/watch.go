package queue

import "context"

// EventStream is one reader of events. Not safe for concurrent use.
type EventStream interface {
	// Next waits for the next event. It returns ctx's error when that ends first, and
	// ErrExpired when events that were to come are not kept any more: the stream is
	// of no more use then.
	Next(ctx context.Context) (Event, error)
	Close() error
}
