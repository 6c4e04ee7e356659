package filter

import (
	"context"
	"io"

	"mtad/queue"
)

// errQueue marks an error that is not the filter's, however it is wrapped later:
// trouble of the queue counts against no scanner and applies no failure rule.
type errQueue struct{ error }

// Unwrap returns the queue's error.
func (e errQueue) Unwrap() error { return e.error }

func blame(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return errQueue{err}
}

// content is what a Kind reads.
type content struct{ queue.Content }

func (c content) Read(p []byte) (int, error) {
	n, err := c.Content.Read(p)
	return n, blame(err)
}

// blob is what a Kind uploads to.
type blob struct{ queue.BlobWriter }

func (b blob) Write(p []byte) (int, error) {
	n, err := b.BlobWriter.Write(p)
	return n, blame(err)
}

func (b blob) Seal(ctx context.Context) (queue.BlobID, int64, error) {
	id, n, err := b.BlobWriter.Seal(ctx)
	return id, n, blame(err)
}
