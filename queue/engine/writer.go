package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"mtad/queue"
)

// Create implements queue.Queue.
func (e *Engine) Create(_ context.Context, env queue.Envelope, o queue.CreateOptions) (queue.Writer, error) {
	if err := checkEnvelope(&env); err != nil {
		return nil, err
	}
	if err := checkCreate(&o); err != nil {
		return nil, err
	}
	e.mu.Lock()
	err := e.refusal(o.Origin)
	e.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if o.EarlyDuplicate && o.DedupeKey != "" {
		if err := e.duplicate(o.DedupeKey); err != nil {
			return nil, err
		}
	}
	now := e.o.Now()
	id := e.ids.next(now)
	w := &writer{e: e, o: o, r: &rec{}, s: spool{e: e, msg: keyOf(id).msg}}
	it := &w.r.Item
	it.ID, it.Origin, it.Parent = id, o.Origin, o.Parent
	it.Chain, it.Stage = o.Chain, o.Stage
	it.State = queue.Incoming
	if o.Stage != "" {
		it.State = queue.Unfiltered
	}
	it.Priority = o.Priority
	it.Created, it.NextAt, it.Expires = clean(now), clean(o.NextAt), clean(o.Expires)
	it.Envelope = env
	it.Envelope.Recipients = slices.Clone(env.Recipients)
	for i := range it.Envelope.Recipients {
		p := &it.Envelope.Recipients[i]
		p.LastAttempt = clean(p.LastAttempt)
	}
	if len(o.Meta) > 0 {
		it.Meta = maps.Clone(o.Meta)
	}
	if o.Hold != nil {
		h := *o.Hold
		if h.Since.IsZero() {
			h.Since = now
		}
		h.Since, h.Until = clean(h.Since), clean(h.Until)
		it.Hold = &h
	}
	if o.Trace != nil {
		it.Trace = slices.Clone(o.Trace(id))
		if len(it.Trace) > queue.MaxTrace {
			return nil, tooLarge("trace", queue.MaxTrace)
		}
	}
	w.r.dedupe = o.DedupeKey
	return w, nil
}

func checkEnvelope(v *queue.Envelope) error {
	switch n := len(v.Recipients); {
	case n == 0:
		return fmt.Errorf("%w: no recipient", queue.ErrInvalid)
	case n > queue.MaxRecipients:
		return tooLarge("recipients", queue.MaxRecipients)
	}
	if len(v.ReversePath) > maxPath {
		return tooLarge("reverse-path", maxPath)
	}
	c := &v.Client
	for _, s := range [...]string{string(v.Body), v.Return, v.EnvID, c.Protocol, c.Helo, c.Name, c.Address, c.SASLMethod,
		c.SASLUser, c.SASLSender, c.CertSubject, c.CertIssuer, c.CertFinger, c.TLSProtocol, c.TLSCipher, c.Listener} {
		if len(s) > maxAttr {
			return tooLarge("envelope attribute", maxAttr)
		}
	}
	for i := range v.Recipients {
		if err := checkRecipient(&v.Recipients[i]); err != nil {
			return err
		}
	}
	return nil
}

func checkCreate(o *queue.CreateOptions) error {
	switch {
	case len(o.Stage) > maxName || len(o.Chain) > maxName:
		return tooLarge("stage or chain", maxName)
	case len(o.DedupeKey) > maxDedupe:
		return tooLarge("dedupe key", maxDedupe)
	case int(o.Origin) > int(queue.OriginForward):
		return fmt.Errorf("%w: origin %v", queue.ErrInvalid, o.Origin)
	case len(o.Parent) > 24:
		return fmt.Errorf("%w: parent", queue.ErrInvalid)
	case o.Hold != nil && (len(o.Hold.Reason) > queue.MaxText || len(o.Hold.By) > queue.MaxText):
		return tooLarge("hold", queue.MaxText)
	}
	return checkMeta(o.Meta)
}

// refusal says why new mail of this origin is not taken. mu is held.
func (e *Engine) refusal(origin queue.Origin) error {
	if err := e.usable(); err != nil {
		return err
	}
	if e.log.Space().Full {
		return fmt.Errorf("engine: free space: %w", queue.ErrFull)
	}
	if origin == queue.OriginDSN {
		return nil
	}
	// What is held there, in quarantine perhaps, is no backlog of the filters.
	u := e.tot.states[queue.Unfiltered]
	u.messages -= e.tot.aside.messages
	u.bytes -= e.tot.aside.bytes
	switch {
	case e.o.MaxUnfiltered > 0 && u.messages >= e.o.MaxUnfiltered:
		return fmt.Errorf("engine: %d messages unfiltered: %w", u.messages, queue.ErrHighWater)
	case e.o.MaxUnfilteredBytes > 0 && u.bytes >= e.o.MaxUnfilteredBytes:
		return fmt.Errorf("engine: %d octets unfiltered: %w", u.bytes, queue.ErrHighWater)
	case e.o.MaxUnfilteredAge > 0 && u.messages > 0 && e.unfilteredAge() > e.o.MaxUnfilteredAge:
		return fmt.Errorf("engine: unfiltered for too long: %w", queue.ErrHighWater)
	}
	return nil
}

// writer is a message on its way in.
type writer struct {
	e *Engine
	o queue.CreateOptions
	s spool

	filling bool // counted in Engine.filling
	err     error

	mu        sync.Mutex // of what follows: Wait runs beside Commit and Abort
	r         *rec
	m         *stagedMessage
	committed bool
	aborted   bool
	uncertain bool
	late      bool // LateMeta was called
	result    queue.Item
}

// duplicate refuses a key that a message on stable storage has.
func (e *Engine) duplicate(key string) error {
	e.vis.RLock()
	defer e.vis.RUnlock()
	b, err := e.log.Get(dedupeKey(key), nil)
	switch {
	case errors.Is(err, ErrNoKey):
		return nil
	case err != nil:
		return unavailable("read dedupe key", err)
	}
	return &queue.DuplicateError{ID: queue.ID(b)}
}

// lateMeta adds what is known of the content only now.
func (w *writer) lateMeta() error {
	if w.late || w.o.LateMeta == nil {
		return nil
	}
	w.late = true
	all := maps.Clone(w.r.Meta)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, w.o.LateMeta())
	if err := checkMeta(all); err != nil {
		w.err = err
		return err
	}
	w.r.Meta = all
	return nil
}

func (w *writer) ID() queue.ID { return w.r.ID }

func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	over := w.committed || w.aborted || w.m != nil
	w.mu.Unlock()
	switch {
	case over:
		return 0, fmt.Errorf("%w: write after the end", queue.ErrInvalid)
	case w.err != nil:
		return 0, w.err
	case w.o.MaxSize > 0 && w.s.size+int64(len(p)) > w.o.MaxSize:
		w.err = tooLarge("content", int(w.o.MaxSize))
		return 0, w.err
	}
	if !w.filling && len(p) > 0 {
		w.filling = true
		w.e.filling.Add(1)
	}
	if w.err = w.s.write(p, w.flush); w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

// flush writes a chunk.
func (w *writer) flush() error {
	w.e.mu.Lock()
	w.s.begin()
	w.e.mu.Unlock()
	return w.s.flush()
}

// filled says that the writer waits for its commit, or for nothing any more.
func (w *writer) filled() {
	if w.filling {
		w.filling = false
		w.e.filling.Add(-1)
	}
}

// content makes generation 0 of what was written.
func (w *writer) content(r *rec) {
	g := queue.Generation{Size: w.s.size, Segments: []queue.Segment{{Length: w.s.size}}}
	if w.s.size == 0 {
		g.Segments = nil
	}
	r.Generations = []queue.Generation{g}
	r.blobs = []blob{{0, w.s.size}}
}

// Commit implements queue.Writer.
func (w *writer) Commit(ctx context.Context) (queue.Item, error) {
	w.filled()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.committed:
		return w.result, nil
	case w.aborted:
		return queue.Item{}, fmt.Errorf("%w: commit after abort", queue.ErrInvalid)
	case w.err != nil:
		return queue.Item{}, w.err
	}
	if err := w.lateMeta(); err != nil {
		return queue.Item{}, err
	}
	var it queue.Item
	var err error
	if w.m != nil {
		it, err = w.commitStaged(ctx)
	} else {
		it, err = w.commit(ctx)
	}
	switch {
	case err == nil:
		w.committed, w.result = true, it
		w.s.release()
	case errors.Is(err, queue.ErrUncertain):
		w.uncertain = true
	}
	return it, err
}

func (w *writer) commit(ctx context.Context) (it queue.Item, err error) {
	uncertain := w.uncertain
	err = w.e.do(ctx, true, func(o *op) error {
		if uncertain {
			if old, oerr := w.e.anywhere(keyOf(w.r.ID)); oerr == nil {
				it = copyItem(old)
				return nil
			}
		}
		t := &txn{e: w.e, o: o, x: &queue.Txn{}}
		if err := w.check(o); err != nil {
			return err
		}
		r := w.r.draft()
		w.content(r)
		if err := w.lastChunk(o); err != nil {
			return err
		}
		w.accept(t, r)
		if err := t.items[0].settle(); err != nil {
			return err
		}
		if len(t.items) > 1 {
			if err := t.regroup(false); err != nil {
				return err
			}
		}
		for _, d := range t.items {
			o.set(nil, d.r)
		}
		o.sync = true
		it = copyItem(t.items[0].r)
		return nil
	})
	if err != nil {
		return queue.Item{}, err
	}
	return it, nil
}

// check is what can still refuse a message at its commit.
func (w *writer) check(o *op) error {
	if err := w.e.refusal(w.o.Origin); err != nil {
		return err
	}
	if w.s.marked && w.s.epoch != w.e.epoch {
		return fmt.Errorf("engine: the store was opened anew: %w", queue.ErrUnavailable)
	}
	return w.dedupe(o)
}

// dedupe refuses a key that was used, and takes it.
func (w *writer) dedupe(o *op) error {
	k := w.r.dedupe
	if k == "" {
		return nil
	}
	id, ok := o.b.dedupe[k]
	if !ok {
		b, err := w.e.log.Get(dedupeKey(k), nil)
		if err != nil && !errors.Is(err, ErrNoKey) {
			return unavailable("read dedupe key", err)
		}
		if err == nil {
			id, ok = queue.ID(b), true
		}
	}
	if ok && id != w.r.ID {
		return &queue.DuplicateError{ID: id}
	}
	if o.b.dedupe == nil {
		o.b.dedupe = map[string]queue.ID{}
	}
	o.b.dedupe[k] = w.r.ID
	o.puts = append(o.puts, put{dedupeKey(k), []byte(w.r.ID)})
	return nil
}

// lastChunk puts what is still buffered into the batch of the commit.
func (w *writer) lastChunk(o *op) error {
	if len(w.s.buf) > 0 {
		o.chunks = append(o.chunks, chunkWrite{ChunkKey{w.s.msg, 0, w.s.chunks}, w.s.buf})
	}
	if w.s.marked {
		o.deletes = append(o.deletes, openMark(w.s.msg, 0))
	}
	return nil
}

// accept begins the item's life.
func (w *writer) accept(t *txn, r *rec) {
	r.rev = w.e.revs.Add(1)
	d := &draft{t: t, r: r, state: r.State, moved: r.State == queue.Incoming}
	t.items = append(t.items, d)
	addStep(r, queue.Step{At: t.o.b.now, Kind: queue.EventAccepted})
	t.o.accepted(r)
	if r.Hold != nil {
		d.telling(queue.Event{Kind: queue.EventHeld, Text: r.Hold.Reason, Hold: r.Hold})
	}
}

// Abort implements queue.Writer.
func (w *writer) Abort() error {
	w.filled()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.committed || w.aborted {
		return nil
	}
	w.aborted = true
	if w.uncertain {
		return nil // it may exist; if not, its chunks have their mark
	}
	if w.m != nil {
		w.abortStaged()
		return nil
	}
	w.s.drop()
	return nil
}

// unfilteredAge is how long the oldest unfiltered item that is not held has waited.
func (e *Engine) unfilteredAge() time.Duration {
	var oldest time.Time
	for stage := range e.tot.stages {
		if t := e.oldestWaiting(laneID{queue.Unfiltered, stage}); !t.IsZero() && (oldest.IsZero() || t.Before(oldest)) {
			oldest = t
		}
	}
	if oldest.IsZero() {
		return 0
	}
	return e.o.Now().Sub(oldest)
}
