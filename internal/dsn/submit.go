package dsn

import (
	"context"
	"fmt"
	"io"

	"mtad/queue"
)

// Into returns a Submit that puts reports into q, with the recipients' routes
// asked of route. It is durable when it returns an ID. Where route gives a
// transport beside an error, that is the way: the report fails there, and the
// postmaster hears of it.
func Into(q queue.Queue, route func(path string) (transport, nextHop string, err error)) func(context.Context, queue.Envelope, queue.CreateOptions, io.WriterTo) (queue.ID, error) {
	return func(ctx context.Context, e queue.Envelope, o queue.CreateOptions, content io.WriterTo) (queue.ID, error) {
		for i := range e.Recipients {
			rc := &e.Recipients[i]
			var err error
			if rc.Transport, rc.NextHop, err = route(rc.Path); err != nil && rc.Transport == "" {
				return "", fmt.Errorf("route: %w", err)
			}
		}
		w, err := q.Create(ctx, e, o)
		if err != nil {
			return "", err
		}
		defer func() { _ = w.Abort() }() // nothing after a commit
		if _, err := content.WriteTo(w); err != nil {
			return "", err
		}
		it, err := w.Commit(ctx)
		if err != nil {
			return "", err
		}
		return it.ID, nil
	}
}
