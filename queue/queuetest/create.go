package queuetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"mtad/queue"
)

// Create opens a message.
func (m *Model) Create(ctx context.Context, e queue.Envelope, o queue.CreateOptions) (queue.Writer, error) {
	now, err := m.enter()
	defer m.leave()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if m.full() {
		return nil, queue.ErrHighWater
	}
	if err := checkCreate(e, o); err != nil {
		return nil, err
	}
	if first, ok := m.state.dedupe[o.DedupeKey]; ok && o.EarlyDuplicate && o.DedupeKey != "" {
		return nil, &queue.DuplicateError{ID: first}
	}
	w := &writer{m: m, max: o.MaxSize, late: o.LateMeta}
	w.msg = &message{id: m.state.newID(now), dedupe: o.DedupeKey, blobs: map[queue.BlobID][]byte{}, nextPart: 1}
	w.it = &item{msg: w.msg}
	w.it.Item = cloneItem(queue.Item{
		ID: w.msg.id, State: queue.Incoming, Origin: o.Origin, Parent: o.Parent, Chain: o.Chain,
		Priority: o.Priority, Created: now, NextAt: o.NextAt, Expires: o.Expires, Envelope: e, Hold: o.Hold, Meta: o.Meta,
	})
	if o.Stage != "" {
		w.it.State, w.it.Stage = queue.Unfiltered, o.Stage
	}
	if w.it.Hold != nil && w.it.Hold.Since.IsZero() {
		w.it.Hold.Since = now
	}
	if o.Trace != nil {
		w.it.Trace = slices.Clone(o.Trace(w.msg.id))
	}
	if len(w.it.Trace) > queue.MaxTrace {
		return nil, fmt.Errorf("%w: trace of %d octets", queue.ErrTooLarge, len(w.it.Trace))
	}
	return w, nil
}

func checkCreate(e queue.Envelope, o queue.CreateOptions) error {
	switch {
	case len(e.Recipients) == 0:
		return fmt.Errorf("%w: no recipient", queue.ErrInvalid)
	case len(e.Recipients) > queue.MaxRecipients:
		return fmt.Errorf("%w: %d recipients", queue.ErrTooLarge, len(e.Recipients))
	case metaSize(o.Meta) > queue.MaxMeta:
		return fmt.Errorf("%w: meta", queue.ErrTooLarge)
	case len(o.DedupeKey) > 200:
		return fmt.Errorf("%w: dedupe key of %d octets", queue.ErrTooLarge, len(o.DedupeKey))
	case o.Hold != nil && len(o.Hold.Reason) > queue.MaxText:
		return fmt.Errorf("%w: hold reason", queue.ErrTooLarge)
	}
	return nil
}

func metaSize(meta map[string]string) (n int) {
	for k, v := range meta {
		n += len(k) + len(v)
	}
	return n
}

// writer is a message that comes into being.
type writer struct {
	m    *Model
	msg  *message
	it   *item // the message's first item
	body []byte
	max  int64
	bad  error // what the first failed Write said

	staged, committed, aborted bool

	late func() map[string]string // nil once it was called
}

// lateMeta adds what is known of the content only now.
func (w *writer) lateMeta() error {
	if w.late == nil {
		return nil
	}
	all := maps.Clone(w.it.Meta)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, w.late())
	w.late = nil
	if metaSize(all) > queue.MaxMeta {
		w.bad = fmt.Errorf("%w: meta", queue.ErrTooLarge)
		return w.bad
	}
	w.it.Meta = all
	return nil
}

func (w *writer) ID() queue.ID { return w.msg.id }

func (w *writer) Write(p []byte) (int, error) {
	_, err := w.m.enter()
	defer w.m.leave()
	switch {
	case err != nil:
		return 0, err
	case w.bad != nil:
		return 0, w.bad
	case w.staged || w.committed || w.aborted:
		return 0, fmt.Errorf("%w: write after the end", queue.ErrInvalid)
	case w.max > 0 && int64(len(w.body)+len(p)) > w.max:
		w.bad = fmt.Errorf("%w: content over %d octets", queue.ErrTooLarge, w.max)
		return 0, w.bad
	}
	w.body = append(w.body, p...)
	return len(p), nil
}

// seal turns what was written into generation 0.
func (w *writer) seal() {
	w.msg.blobs[0], w.msg.nextBlob = w.body, 1
	g := queue.Generation{Size: int64(len(w.body))}
	if g.Size > 0 {
		g.Segments = []queue.Segment{{Length: g.Size}}
	}
	w.it.Generations = []queue.Generation{g}
}

func (w *writer) Stage(ctx context.Context) error {
	_, err := w.m.enter()
	defer w.m.leave()
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case w.bad != nil:
		return w.bad
	case w.it.Stage == "" || w.committed || w.aborted:
		return fmt.Errorf("%w: nothing to stage", queue.ErrInvalid)
	case w.staged:
		return nil
	}
	if err := w.lateMeta(); err != nil {
		return err
	}
	w.staged, w.msg.staged = true, true
	w.m.state.staged[w.msg] = true
	w.seal()
	w.m.state.touch(w.it)
	w.m.state.items[w.it.ID] = w.it
	w.m.wake()
	return nil
}

func (w *writer) Wait(ctx context.Context) ([]queue.Item, error) {
	for {
		items, changed, err := w.judged()
		if items != nil || err != nil {
			return items, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		}
	}
}

// judged returns the parts when none is in Unfiltered any more, or is held there.
func (w *writer) judged() ([]queue.Item, <-chan struct{}, error) {
	_, err := w.m.enter()
	defer w.m.leave()
	switch {
	case err != nil:
		return nil, nil, err
	case !w.staged || w.aborted:
		return nil, nil, fmt.Errorf("%w: not staged", queue.ErrInvalid)
	}
	var items []queue.Item
	for _, it := range w.m.state.parts(w.msg) {
		if it.State == queue.Unfiltered && it.Outcome == nil && it.Hold == nil {
			return nil, w.m.changed, nil
		}
		items = append(items, it.view())
	}
	return items, nil, nil
}

// parts are all items of a message, live and finished, by part number.
func (s *state) parts(msg *message) []*item {
	out := s.live(func(it *item) bool { return it.msg == msg })
	for _, it := range s.finished {
		if it.msg == msg {
			out = append(out, it)
		}
	}
	out = append(out, msg.rejected...)
	slices.SortFunc(out, func(a, b *item) int { return compareID(a.ID, b.ID) })
	return out
}

func (w *writer) Commit(ctx context.Context) (queue.Item, error) {
	now, err := w.m.enter()
	defer w.m.leave()
	switch {
	case err != nil:
		return queue.Item{}, err
	case w.committed:
		return w.m.state.parts(w.msg)[0].view(), nil
	case w.aborted:
		return queue.Item{}, fmt.Errorf("%w: commit after abort", queue.ErrInvalid)
	case w.bad != nil:
		return queue.Item{}, w.bad
	case ctx.Err() != nil:
		return queue.Item{}, ctx.Err()
	}
	if err := w.lateMeta(); err != nil {
		return queue.Item{}, err
	}
	s := w.m.state
	if first, ok := s.dedupe[w.msg.dedupe]; ok && w.msg.dedupe != "" {
		return queue.Item{}, &queue.DuplicateError{ID: first}
	}
	w.m.durable(false)
	w.committed = true
	if w.msg.dedupe != "" {
		s.dedupe[w.msg.dedupe] = w.msg.id
	}
	if w.staged {
		w.commitStaged(now)
	} else {
		w.commitNew(now)
	}
	w.m.wake()
	return s.parts(w.msg)[0].view(), nil
}

// commitStaged makes the message exist as it is now.
func (w *writer) commitStaged(now time.Time) {
	s, msg := w.m.state, w.msg
	for _, it := range s.parts(msg) {
		it.step(now, queue.EventAccepted, "")
		s.touch(it)
	}
	for _, it := range msg.rejected {
		s.finished[it.ID] = it
	}
	earlier := msg.waiting
	msg.staged, msg.rejected, msg.waiting = false, nil, nil
	delete(s.staged, msg)
	w.m.tell(msg, w.accepted(now))
	w.m.tellAll(msg, earlier)
}

func (w *writer) commitNew(now time.Time) {
	w.seal()
	w.it.step(now, queue.EventAccepted, "")
	c := &change{m: w.m, now: now, msg: w.msg}
	items := []*item{w.it}
	if w.it.State == queue.Incoming {
		items = c.byRoute(w.it)
	}
	for _, it := range items {
		w.m.state.touch(it)
		w.m.state.items[it.ID] = it
	}
	w.m.tell(w.msg, w.accepted(now))
	w.m.tellAll(w.msg, c.events)
}

func (w *writer) accepted(now time.Time) queue.Event {
	return queue.Event{At: now, Kind: queue.EventAccepted, ID: w.msg.id, State: w.it.State}
}

func (w *writer) Abort() error {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	if w.committed || w.aborted {
		return nil
	}
	w.aborted = true
	delete(w.m.state.staged, w.msg)
	for _, it := range w.m.state.parts(w.msg) {
		if it.lease != nil {
			delete(w.m.leases, it.lease.token)
		}
		delete(w.m.state.items, it.ID)
	}
	w.m.wake()
	return nil
}
