package intake

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"mtad/internal/smtp"
	"mtad/queue"
)

// Message is one message on its way in. It is not safe for concurrent use.
// It ends with Close or Abort.
type Message struct {
	in      *Intake
	w       queue.Writer
	plan    Plan
	size    int64
	maxSize int64
	counter receivedCounter
	err     error // first error of Write; sticky
	ended   bool
}

// Result is what became of a message.
type Result struct {
	ID queue.ID
	// Items are the parts as the filters left them, those that one ended inline with
	// their Outcome; where no filter ran, what Commit returned.
	Items []queue.Item
	// Committed: the message exists, durably, or is known to have existed.
	Committed bool
	// Duplicate: Door.DedupeKey was used before; ID is the first message's.
	Duplicate bool
	// Reply is what an SMTP client is told, also when Close returned an error.
	Reply smtp.Reply
}

// ID is the queue ID the message will have.
func (m *Message) ID() queue.ID { return m.w.ID() }

// Size is how many octets of content were written.
func (m *Message) Size() int64 { return m.size }

// Inline says that Close waits for a verdict.
func (m *Message) Inline() bool { return m.plan.Stage != "" && m.plan.Timing != After }

// Write appends content. After an error nothing more is taken; the same error
// comes from Close.
func (m *Message) Write(p []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	if m.ended {
		return 0, queue.ErrInvalid
	}
	if m.maxSize > 0 && m.size+int64(len(p)) > m.maxSize {
		m.err = fmt.Errorf("intake: content beyond %d octets: %w", m.maxSize, queue.ErrTooLarge)
		return 0, m.err
	}
	m.counter.scan(p)
	if m.counter.over() {
		m.err = ErrLoop
		return 0, m.err
	}
	n, err := m.w.Write(p)
	m.size += int64(n)
	m.err = err
	return n, err
}

// Abort drops everything. After Close it does nothing.
func (m *Message) Abort() error {
	if m.ended {
		return nil
	}
	m.ended = true
	return m.w.Abort()
}

// Close ends the message: it commits, or has it judged first, as the plan says.
// An error comes with its Reply; a filter's reject is a Result without error
// and without Committed. When ctx ends before the commit began nothing is kept.
func (m *Message) Close(ctx context.Context) (Result, error) {
	if m.ended {
		err := fmt.Errorf("intake: message ended before: %w", queue.ErrInvalid)
		return Result{ID: m.ID(), Reply: ReplyOf(err)}, err
	}
	res, err := m.close(ctx)
	if err != nil {
		res = m.failed(err)
		if res.Duplicate {
			err = nil
		}
	}
	m.ended = true
	m.in.metrics.count(&res, m.size)
	return res, err
}

func (m *Message) close(ctx context.Context) (Result, error) {
	switch {
	case m.err != nil:
		return Result{}, m.err
	case m.Inline():
		return m.judge(ctx)
	}
	return m.commit(ctx)
}

// failed drops what there is and names the reply. A duplicate is success: the
// first message is in the queue.
func (m *Message) failed(err error) Result {
	abortErr := m.w.Abort()
	var dup *queue.DuplicateError
	if errors.As(err, &dup) {
		return Result{ID: dup.ID, Committed: true, Duplicate: true, Reply: queuedAs(dup.ID)}
	}
	m.in.log.Warn("message not taken", "queue_id", string(m.ID()), "error", err, "abort_error", abortErr)
	return Result{ID: m.ID(), Reply: ReplyOf(err)}
}

func (m *Message) commit(ctx context.Context) (Result, error) {
	it, err := m.w.Commit(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("intake: commit %s: %w", m.ID(), err)
	}
	return Result{ID: m.ID(), Items: []queue.Item{it}, Committed: true, Reply: queuedAs(m.ID())}, nil
}

// judge stages the message and waits for its verdict.
func (m *Message) judge(ctx context.Context) (Result, error) {
	if err := m.w.Stage(ctx); err != nil {
		return Result{}, fmt.Errorf("intake: stage %s: %w", m.ID(), err)
	}
	wait := m.plan.Wait
	if wait <= 0 {
		wait = DefaultWait
	}
	waitCtx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	items, err := m.w.Wait(waitCtx)
	switch {
	case err == nil:
		return m.judged(ctx, items)
	case ctx.Err() != nil || waitCtx.Err() == nil:
		return Result{}, fmt.Errorf("intake: wait for the verdict on %s: %w", m.ID(), err)
	case m.plan.Timing == InlineThenPark:
		return m.commit(ctx)
	}
	return Result{}, fmt.Errorf("intake: %s: %w", m.ID(), ErrNoVerdict)
}

// judged commits what lives on, or the history record alone. A message that every
// part of was rejected is told so; where the parts were rejected one by one, each
// waits to be reported, and is dropped: the reply says it already.
func (m *Message) judged(ctx context.Context, items []queue.Item) (Result, error) {
	reply, rejected := rejection(items)
	if rejected && slices.ContainsFunc(items, func(it queue.Item) bool { return it.Outcome == nil }) {
		_ = m.w.Abort()
		return Result{ID: m.ID(), Items: items, Reply: reply}, nil
	}
	res, err := m.commit(ctx)
	if rejected {
		// The client is told the verdict whether or not its record was kept.
		if err != nil {
			m.in.log.Warn("reject without a history record", "queue_id", string(m.ID()), "error", err)
			_ = m.w.Abort()
		}
		return Result{ID: m.ID(), Items: items, Reply: reply}, nil
	}
	if err != nil {
		return Result{}, err
	}
	res.Items = items
	return res, nil
}

// rejection is the client's reply when every part was rejected: a transient
// one if there is any, for the same message may then get further later.
func rejection(items []queue.Item) (smtp.Reply, bool) {
	var reply smtp.Reply
	for i := range items {
		text, rejected := refused(&items[i])
		if !rejected {
			return smtp.Reply{}, false
		}
		r := verdictReply(text)
		if reply.IsZero() || r.Transient() && !reply.Transient() {
			reply = r
		}
	}
	return reply, !reply.IsZero()
}

// refused is the reply that a part was rejected with, as a whole or by the verdict
// on each of its recipients.
func refused(it *queue.Item) (reply string, yes bool) {
	if o := it.Outcome; o != nil {
		return o.Reply, o.Disposition == queue.Rejected
	}
	for _, r := range it.Envelope.Recipients {
		switch r.Status {
		case queue.Failed:
			reply, yes = r.LastReply, true
		case queue.Removed:
		default:
			return "", false
		}
	}
	return reply, yes
}
