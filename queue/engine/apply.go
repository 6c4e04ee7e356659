package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mtad/queue"
)

func isAny(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

// Apply implements queue.Queue.
func (e *Engine) Apply(ctx context.Context, x queue.Txn) ([]queue.Item, error) {
	if err := checkTxn(&x); err != nil {
		return nil, err
	}
	var t txn
	// A filter's verdict is synced before its answer, and verdicts come in crowds.
	verdict := x.Token != "" && x.Nonce != ""
	err := e.do(ctx, verdict, func(o *op) error {
		t = txn{e: e, o: o, x: &x}
		return t.run()
	})
	if err != nil {
		return nil, err
	}
	return t.answer, nil
}

func checkTxn(x *queue.Txn) error {
	switch {
	case x.Token == "" && x.ID == "":
		return fmt.Errorf("%w: a change names a token or an ID", queue.ErrInvalid)
	case len(x.Nonce) > maxNonce:
		return fmt.Errorf("%w: nonce of more than %d octets", queue.ErrInvalid, maxNonce)
	case len(x.By) > queue.MaxText:
		return fmt.Errorf("%w: by of more than %d octets", queue.ErrTooLarge, queue.MaxText)
	}
	return nil
}

// txn is a Txn on its way through the commit loop.
type txn struct {
	e      *Engine
	o      *op
	x      *queue.Txn
	lease  *lease // living lease of the item, if any
	byHand bool   // under the lease's own token
	inline int    // octets of new content so far
	items  []*draft
	answer []queue.Item
}

// run checks who asks, makes the changes, and prepares the answer.
func (t *txn) run() error {
	if done, err := t.repeated(); done || err != nil {
		return err
	}
	old, err := t.find()
	if err != nil {
		return t.maybeRepeated(err)
	}
	if t.x.Nonce != "" && old.nonce == nonceName(t.x) {
		if t.maybeRepeated(queue.ErrConflict) == nil {
			return nil
		}
	}
	if len(t.x.Ops) == 0 {
		t.answer = []queue.Item{t.e.show(old, t.lease)}
		return nil
	}
	main := &draft{t: t, r: old.draft(), state: t.e.stateOf(old, t.lease)}
	main.r.rev = t.e.revs.Add(1)
	if t.x.Nonce != "" {
		main.r.nonce, main.r.nonceAt = nonceName(t.x), t.o.b.now
	}
	t.items = append(t.items, main)
	if err := main.apply(t.x.Ops); err != nil {
		return err
	}
	if err := main.settle(); err != nil {
		return err
	}
	return t.conclude(old)
}

// find returns the item that the Txn names, and its lease.
func (t *txn) find() (*rec, error) {
	e := t.e
	if t.x.Token != "" {
		l, err := e.living(t.x.Token)
		if err != nil {
			return nil, err
		}
		t.lease, t.byHand = l, true
		return e.leased(l)
	}
	k, ok := parseKey(t.x.ID)
	if !ok {
		return nil, queue.ErrNotFound
	}
	old, err := t.o.load(k)
	if err != nil {
		return nil, err
	}
	if t.x.Rev != "" && t.x.Rev != revOf(old.rev) {
		return nil, queue.ErrConflict
	}
	if t.lease = e.leases.byKey[k]; t.lease != nil {
		if !t.x.Force {
			return nil, fmt.Errorf("%w: leased by %s", queue.ErrConflict, t.lease.holder)
		}
	}
	return old, nil
}

// conclude turns the drafts into changes, and arranges what follows the commit.
func (t *txn) conclude(old *rec) error {
	e, o := t.e, t.o
	main := t.items[0]
	staged := t.lease != nil && t.lease.staged
	if len(t.items) > 1 || main.r.Outcome != nil {
		if err := t.regroup(staged); err != nil {
			return err
		}
	}
	ends := main.ended || main.r.Outcome != nil || t.lease != nil && !t.byHand
	for i, d := range t.items {
		was := old
		if i > 0 {
			was = nil
		}
		if staged {
			o.stage(was, d.r)
		} else {
			o.set(was, d.r)
		}
	}
	if !staged {
		o.sync = o.sync || !t.byHand || old.State == queue.Unfiltered
	}
	l := t.lease
	switch {
	case l == nil:
	case ends && !t.byHand:
		e.leases.remove(l) // broken: the token is void at once
		o.after = append(o.after, func() { e.afterLease(l) })
	case ends:
		l.busy, l.ended = true, true
		l.was, l.rev = l.rev, main.r.rev
		o.after = append(o.after, func() { e.leases.remove(l); e.afterLease(l) })
	default:
		l.busy = true
		l.r, l.was, l.rev = main.r, l.rev, main.r.rev
		o.after = append(o.after, func() { l.busy = false })
	}
	if main.r.NextAt.IsZero() || !ends {
		delete(e.leases.blocks, main.r.key())
	}
	t.reply(ends)
	t.remember()
	return nil
}

// afterLease is what is left to do when a lease ended by a change; the items
// themselves are made claimable by the batch.
func (e *Engine) afterLease(l *lease) {
	e.dropUploads(l)
	if m := e.staged[l.key.msg]; m != nil && l.staged {
		m.requeue(e, l.key)
	}
	e.wakeLimited1()
	e.jobs.leaseEnded()
}

// wakeLimited1 wakes Claims that wait for room, when there is little of it.
func (e *Engine) wakeLimited1() {
	if e.leases.active+1 >= e.o.ActiveLimit {
		e.wakeLimited()
	}
}

// reply makes the answer.
func (t *txn) reply(ends bool) {
	for i, d := range t.items {
		l := t.lease
		if ends || i > 0 {
			l = nil
		}
		t.answer = append(t.answer, t.e.show(d.r, l))
	}
}

// regroup keeps the count of the message's parts, and drops the content with the
// last of them.
func (t *txn) regroup(staged bool) error {
	o := t.o
	main := t.items[0].r
	msg := main.key().msg
	if staged {
		return nil // numbers and count come from the staged message
	}
	var g *group
	var err error
	switch {
	case main.grouped:
		g, err = o.group(msg)
	case len(t.items) > 1:
		g = &group{live: 1, next: 1}
		o.setGroup(msg, g)
	}
	if err != nil {
		return err
	}
	if g == nil {
		o.dropContent(msg, main.blobs)
		return nil
	}
	g.live += len(t.items) - 1
	for _, d := range t.items {
		d.r.grouped = true
		if d.r.Outcome != nil {
			g.live--
			g.keep(d.r.blobs)
		}
	}
	if g.live <= 0 {
		g.live = 0
		o.dropContent(msg, g.blobs)
	}
	return nil
}

// keep remembers the blobs of a part that is gone.
func (g *group) keep(bs []blob) {
	for _, b := range bs {
		known := false
		for _, x := range g.blobs {
			known = known || x.id == b.id
		}
		if !known {
			g.blobs = append(g.blobs, b)
		}
	}
}

// dropContent drops every chunk of the blobs.
func (o *op) dropContent(msg uint64, bs []blob) {
	for _, b := range bs {
		for n := int64(0); n*chunkSize < b.size; n++ {
			o.drops = append(o.drops, ChunkKey{msg, uint32(b.id), uint32(n)})
		}
	}
}

// nonces

// nonceTable remembers answers for repeated Txns.
type nonceTable struct {
	answers map[string]*answered
	ring    []string
	next    int
}

type answered struct {
	at    time.Time
	items []*rec
	ended bool
	sync  bool // durable: true also of a log that was opened anew
}

func (n *nonceTable) init() { n.answers = map[string]*answered{} }

// reopened forgets the answers that may have been lost with the log. Those that
// were not are found in the records.
func (n *nonceTable) reopened() {
	for name, a := range n.answers {
		if !a.sync {
			delete(n.answers, name)
		}
	}
}

func nonceName(x *queue.Txn) string {
	if x.Token != "" {
		return "t" + string(x.Token) + x.Nonce
	}
	return "i" + string(x.ID) + " " + x.Nonce
}

// repeated answers a Txn that was made before with the same Nonce.
func (t *txn) repeated() (bool, error) {
	if t.x.Nonce == "" {
		return false, nil
	}
	a := t.e.nonces.answers[nonceName(t.x)]
	if a == nil || t.o.b.now.Sub(a.at) > nonceTime {
		return false, nil
	}
	for i, r := range a.items {
		var l *lease
		if i == 0 && !a.ended {
			l = t.e.leases.byKey[r.key()]
		}
		t.answer = append(t.answer, t.e.show(r, l))
	}
	return true, nil
}

// maybeRepeated finds a Txn that took effect before a restart: the items that it
// left or made remember its nonce until their next change that has one.
func (t *txn) maybeRepeated(err error) error {
	if t.x.Nonce == "" || !isAny(err, queue.ErrConflict, queue.ErrNotFound, queue.ErrLeaseLost) {
		return err
	}
	k, ok := parseKey(t.x.ID)
	if t.x.Token != "" {
		k, ok = tokenKey(t.x.Token)
	}
	if !ok {
		return err
	}
	name := nonceName(t.x)
	for _, space := range [...]byte{kRecord, kHistory} {
		rs, rerr := t.e.readMessage(t.e.log, space, k.msg)
		if rerr != nil {
			return rerr
		}
		for _, r := range rs {
			if r.nonce == name && t.o.b.now.Sub(r.nonceAt) <= nonceTime {
				t.answer = append(t.answer, t.e.show(r, t.e.leases.byKey[r.key()]))
			}
		}
	}
	if len(t.answer) == 0 {
		return err
	}
	slices.SortStableFunc(t.answer, func(a, b queue.Item) int { return cmp.Compare(a.ID.Part(), b.ID.Part()) })
	if i := slices.IndexFunc(t.answer, func(it queue.Item) bool { return it.ID == k.id() }); i > 0 {
		first := t.answer[i]
		t.answer = slices.Insert(slices.Delete(t.answer, i, i+1), 0, first)
	}
	return nil
}

// remember keeps the answer under the nonce once it is durable.
func (t *txn) remember() {
	if t.x.Nonce == "" {
		return
	}
	a := &answered{at: t.o.b.now, ended: t.items[0].ended || t.items[0].r.Outcome != nil, sync: t.o.sync}
	for _, d := range t.items {
		a.items = append(a.items, d.r)
	}
	name := nonceName(t.x)
	// At once: a repetition in the same batch shares the fate of this one.
	t.e.nonces.put(name, a)
	t.o.undo = append(t.o.undo, func() { delete(t.e.nonces.answers, name) })
}

func (n *nonceTable) put(name string, a *answered) {
	n.answers[name] = a
	if len(n.ring) < maxNonces {
		n.ring = append(n.ring, name)
		return
	}
	delete(n.answers, n.ring[n.next])
	n.ring[n.next] = name
	n.next = (n.next + 1) % maxNonces
}
