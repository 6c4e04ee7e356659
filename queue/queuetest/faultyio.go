package queuetest

import (
	"context"

	"mtad/queue"
)

type faultyWriter struct {
	queue.Writer
	f *FaultyQueue
}

func (w *faultyWriter) Write(p []byte) (int, error) {
	return ask(w.f, "Writer.Write", func() (int, error) { return w.Writer.Write(p) })
}

func (w *faultyWriter) Stage(ctx context.Context) error {
	return w.f.do("Writer.Stage", func() error { return w.Writer.Stage(ctx) })
}

func (w *faultyWriter) Wait(ctx context.Context) ([]queue.Item, error) {
	return ask(w.f, "Writer.Wait", func() ([]queue.Item, error) { return w.Writer.Wait(ctx) })
}

func (w *faultyWriter) Commit(ctx context.Context) (queue.Item, error) {
	return ask(w.f, "Writer.Commit", func() (queue.Item, error) { return w.Writer.Commit(ctx) })
}

func (w *faultyWriter) Abort() error { return w.f.do("Writer.Abort", w.Writer.Abort) }

type faultyBlob struct {
	queue.BlobWriter
	f *FaultyQueue
}

func (w *faultyBlob) Write(p []byte) (int, error) {
	return ask(w.f, "BlobWriter.Write", func() (int, error) { return w.BlobWriter.Write(p) })
}

func (w *faultyBlob) Seal(ctx context.Context) (queue.BlobID, int64, error) {
	var n int64
	id, err := ask(w.f, "BlobWriter.Seal", func() (id queue.BlobID, err error) {
		id, n, err = w.BlobWriter.Seal(ctx)
		return id, err
	})
	return id, n, err
}

func (w *faultyBlob) Abort() error { return w.f.do("BlobWriter.Abort", w.BlobWriter.Abort) }

type faultyContent struct {
	queue.Content
	f *FaultyQueue
}

// Read may bring octets together with io.EOF: both go through.
func (c *faultyContent) Read(p []byte) (n int, err error) {
	fault := c.f.fault("Content.Read")
	if fault.Before != nil {
		fault.Before()
	}
	if fault.Err != nil {
		return 0, fault.Err
	}
	return c.Content.Read(p)
}
