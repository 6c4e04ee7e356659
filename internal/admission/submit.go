package admission

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"maps"
	"time"

	"mtad/filterproto"
	"mtad/internal/intake"
	"mtad/internal/submission"
	"mtad/queue"
)

// Submit takes a message: it is committed when Submit returns without an error.
func (d *Door) Submit(ctx context.Context, c Caller, r Request) (Result, error) {
	res, err := d.once(ctx, &c, &r)
	if err != nil {
		d.log.LogAttrs(ctx, slog.LevelWarn, "submission refused",
			slog.String("by", c.Name), slog.String("reverse_path", r.Envelope.Sender), slog.Any("error", err))
		return Result{}, err
	}
	d.log.LogAttrs(ctx, slog.LevelInfo, "message submitted",
		slog.String("queue_id", string(res.ID)), slog.String("by", c.Name), slog.String("reverse_path", r.Envelope.Sender),
		slog.Int("recipients", len(res.Recipients)), slog.Bool("duplicate", res.Duplicate))
	return res, nil
}

func (d *Door) submit(ctx context.Context, c *Caller, r *Request) (Result, error) {
	s := d.settings.Load()
	env, err := d.envelope(c, r, s)
	if err != nil {
		return Result{}, err
	}
	chain, err := d.chain(c, r)
	if err != nil {
		return Result{}, err
	}
	if c.Grant.bindsFrom() && r.From != nil {
		if err := d.mayBeFrom(c, r.From); err != nil {
			return Result{}, err
		}
	}
	if wait, ok := d.rates.take(c.Name, c.Grant.Rate, c.Grant.RatePer, d.now()); !ok {
		return Result{}, &Refusal{Code: filterproto.CodeRateLimited, Message: "too many messages in too short a time", RetryAfter: wait}
	}
	if c.Grant.Spend == nil {
		return d.take(ctx, c, r, s, env, chain)
	}
	if wait, ok := c.Grant.Spend(len(env.Recipients), d.now()); !ok {
		return Result{}, &Refusal{Code: filterproto.CodeQuotaExceeded, Message: "the recipients of this day are used up", RetryAfter: max(1, int(wait/time.Second))}
	}
	res, err := d.take(ctx, c, r, s, env, chain)
	if err != nil && !errors.Is(err, queue.ErrUncertain) || res.Duplicate {
		c.Grant.Spend(-len(env.Recipients), d.now())
	}
	return res, err
}

// take commits a message that may be handed in.
func (d *Door) take(ctx context.Context, c *Caller, r *Request, s *Settings, env queue.Envelope, chain string) (Result, error) {
	door := d.door(c, r, s, chain)
	m, err := d.o.Intake.Open(ctx, env, door)
	if err != nil {
		return d.repeated(err, &env, r, door.MaxSize)
	}
	if err := d.transfer(c, m, r); err != nil {
		_ = m.Abort()
		return Result{}, err
	}
	got, err := m.Close(ctx)
	switch {
	case err != nil:
		return Result{}, err
	case !got.Committed:
		return Result{}, verdict(got.Reply)
	}
	return result(got, &env), nil
}

func (d *Door) door(c *Caller, r *Request, s *Settings, chain string) intake.Door {
	door := intake.Door{
		Name: c.Client.Listener, Chain: chain, Origin: r.Origin, MaxSize: c.Grant.MaxSize, SizeHint: max(r.Size, 0),
		Priority: r.Priority, NextAt: r.NextAt, Expires: r.Expires, Hold: r.Hold, Meta: maps.Clone(r.Meta),
	}
	if door.Meta == nil {
		door.Meta = map[string]string{}
	}
	door.Meta[MetaCaller] = c.Name
	if c.Grant.Sandbox {
		door.Meta[queue.MetaSandbox] = "1"
	}
	if door.MaxSize <= 0 {
		door.MaxSize = s.MaxSize
	}
	if r.Key != "" {
		door.DedupeKey = dedupeKey(c.Name, r.Key)
		if r.Digest != nil {
			door.LateMeta = func() map[string]string { return map[string]string{MetaDigest: r.Digest()} }
		}
	}
	return door
}

// dedupeKey is the key within the queue: one caller's keys are not another's.
func dedupeKey(name, key string) string {
	h := sha256.New()
	io.WriteString(h, name)
	h.Write([]byte{0})
	io.WriteString(h, key)
	return "submit:" + hex.EncodeToString(h.Sum(nil))
}

// transfer copies the content. What the reader did wrong is a *ReadError.
func (d *Door) transfer(c *Caller, m *intake.Message, r *Request) error {
	var to io.WriteCloser = open{m}
	if c.Grant.bindsFrom() && r.From == nil {
		to = d.checked(c, m)
	}
	src := &source{r: r.Content}
	if r.Canonical {
		return d.copied(to, src)
	}
	l := submission.NewLineEnds(to)
	if _, err := d.copy(l, src); err != nil {
		if src.err != nil {
			return &ReadError{src.err}
		}
		return err
	}
	if l.Size() == 0 {
		return invalid("", "there is no message")
	}
	if err := l.Close(); err != nil {
		return err
	}
	return to.Close()
}

// copied copies content as it is.
func (d *Door) copied(to io.WriteCloser, src *source) error {
	if _, err := d.copy(to, src); err != nil {
		if src.err != nil {
			return &ReadError{src.err}
		}
		return err
	}
	return to.Close()
}

// copy is io.Copy with a buffer that is used again.
func (d *Door) copy(to io.Writer, src *source) (int64, error) {
	buf, _ := d.buffers.Get().(*[]byte)
	if buf == nil {
		b := make([]byte, 32<<10)
		buf = &b
	}
	defer d.buffers.Put(buf)
	return io.CopyBuffer(to, src, *buf)
}

// open is a writer whose end is not said here.
type open struct{ io.Writer }

func (open) Close() error { return nil }

// source remembers its reader's error.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

func result(got intake.Result, env *queue.Envelope) Result {
	res := Result{ID: got.ID, Duplicate: got.Duplicate}
	for i := range env.Recipients {
		p := env.Recipients[i].Path
		res.Recipients = append(res.Recipients, Recipient{ID: RecipientID(got.ID, p), Path: p})
	}
	return res
}

// RecipientID names a recipient of a message for good: it is made from the path
// that was handed in, with its domain.
func RecipientID(id queue.ID, path string) string {
	sum := sha256.Sum256([]byte(path))
	return string(id.Message()) + "-" + hex.EncodeToString(sum[:6])
}
