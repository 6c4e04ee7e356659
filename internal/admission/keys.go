package admission

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"mtad/filterproto"
	"mtad/internal/intake"
	"mtad/queue"
)

// keys are those of requests under way.
type keys struct {
	mu   sync.Mutex
	busy map[string]bool
}

// begin takes a key, unless another request has it.
func (k *keys) begin(key string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.busy[key] {
		return false
	}
	if k.busy == nil {
		k.busy = map[string]bool{}
	}
	k.busy[key] = true
	return true
}

func (k *keys) end(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.busy, key)
}

// once submits a request with a Key. Of two at a time the second is refused for
// now; one that repeats the first gets its answer; another one is a conflict.
func (d *Door) once(ctx context.Context, c *Caller, r *Request) (Result, error) {
	if r.Key == "" {
		return d.submit(ctx, c, r)
	}
	key := dedupeKey(c.Name, r.Key)
	if !d.keys.begin(key) {
		return Result{}, &Refusal{Code: filterproto.CodeIdempotencyInProgress, Message: "a request with this key is under way", RetryAfter: 1}
	}
	defer d.keys.end(key)
	res, err := d.submit(ctx, c, r)
	if err == nil && res.Duplicate {
		err = d.same(ctx, res.ID, r)
	}
	if err != nil {
		return Result{}, err
	}
	return res, nil
}

// Begin takes a key of a caller for several requests: until end, another Begin with
// it is refused for now.
func (d *Door) Begin(c Caller, key string) (end func(), err error) {
	key = dedupeKey(c.Name, key)
	if !d.keys.begin(key) {
		return nil, &Refusal{Code: filterproto.CodeIdempotencyInProgress, Message: "a request with this key is under way", RetryAfter: 1}
	}
	return func() { d.keys.end(key) }, nil
}

// Known refuses a Key that was used for another request. It takes nothing.
func (d *Door) Known(ctx context.Context, c Caller, key string, digest func() string) error {
	nobody := queue.Envelope{Recipients: []queue.Recipient{{Path: "postmaster", Transport: "discard"}}}
	m, err := d.o.Intake.Open(ctx, nobody, intake.Door{
		Origin: queue.OriginHTTP, DedupeKey: dedupeKey(c.Name, key), LateMeta: func() map[string]string { return nil },
	})
	var dup *queue.DuplicateError
	switch {
	case errors.As(err, &dup):
		return d.same(ctx, dup.ID, &Request{Digest: digest})
	case err != nil:
		return err
	}
	return m.Abort()
}

// repeated is the result of a request whose Key was known before its content came.
// The content is read, for it is part of what the request is.
func (d *Door) repeated(err error, env *queue.Envelope, r *Request, most int64) (Result, error) {
	var dup *queue.DuplicateError
	if !errors.As(err, &dup) {
		return Result{}, err
	}
	if r.Digest != nil {
		if most <= 0 {
			most = math.MaxInt64 - 1
		}
		n, err := io.Copy(io.Discard, io.LimitReader(r.Content, most+1))
		if err != nil {
			return Result{}, &ReadError{err}
		}
		if n > most {
			return Result{}, fmt.Errorf("admission: content of a repetition: %w", queue.ErrTooLarge)
		}
	}
	return result(intake.Result{ID: dup.ID, Duplicate: true}, env), nil
}

// same says whether a message was made by this request. A record without a digest,
// or none at all any more, does not say that it was not.
func (d *Door) same(ctx context.Context, id queue.ID, r *Request) error {
	if r.Digest == nil || d.o.History == nil {
		return nil
	}
	items, err := d.o.History(ctx, id.Message())
	if err != nil && !errors.Is(err, queue.ErrNotFound) {
		return err
	}
	for i := range items {
		if was := items[i].Meta[MetaDigest]; was != "" && was != r.Digest() {
			return &Refusal{Code: filterproto.CodeIdempotencyConflict, Message: "the key was used for another request"}
		}
	}
	return nil
}
