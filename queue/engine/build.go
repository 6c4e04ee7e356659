package engine

import (
	"errors"
	"fmt"
	"time"

	"mtad/queue"
)

// change is one item before and after. old nil: it is new. A finished one has
// its Outcome in new.
type change struct {
	key      key
	old, new *rec
	staged   bool // in memory only
}

// op is what one request changes. Nothing of it counts until it is merged.
type op struct {
	b        *build
	changes  []change
	groups   map[uint64]*group
	chunks   []chunkWrite
	drops    []ChunkKey
	deletes  [][]byte
	puts     []put
	events   []queue.Event
	facts    *queue.EventFacts // of factsRec
	factsRec *rec
	after    []func() // with mu held, when the batch is durable
	undo     []func() // with mu held, when it failed
	sync     bool
}

type chunkWrite struct {
	key  ChunkKey
	data []byte
}

type put struct{ key, value []byte }

// build is a batch in the making.
type build struct {
	e      *Engine
	out    Batch
	now    time.Time
	over   map[key]*rec // items as this batch leaves them; nil value: gone
	groups map[uint64]*group
	dedupe map[string]queue.ID
	events []queue.Event
	counts map[string]int64
	queued []*rec // to be made claimable
	after  []func()
	undos  []func()
	sync   bool
	epoch  uint64 // of the log

	was, is  keyList
	key, val []byte
}

func (e *Engine) newBuild() *build {
	return &build{e: e, epoch: e.epoch, out: e.log.NewBatch(), now: e.o.Now().Round(0).UTC(), over: map[key]*rec{}, counts: map[string]int64{}}
}

// load returns the item as it is at this point of the batch, the stored one.
func (o *op) load(k key) (*rec, error) {
	for i := len(o.changes) - 1; i >= 0; i-- {
		if o.changes[i].key == k {
			return o.changes[i].new, nil
		}
	}
	b := o.b
	if r, ok := b.over[k]; ok {
		if r == nil {
			return nil, queue.ErrNotFound
		}
		return r, nil
	}
	return b.e.fetch(k)
}

// fetch reads a live item from memory or the log. mu is held.
func (e *Engine) fetch(k key) (*rec, error) {
	if r := e.fresh.get(k); r != nil {
		return r, nil
	}
	return e.read(e.log, k)
}

// read reads a live item's record.
func (e *Engine) read(from Reader, k key) (*rec, error) {
	var kb [16]byte
	b, err := from.Get(itemKey(kb[:0], kRecord, k), nil)
	switch {
	case errors.Is(err, ErrNoKey):
		if _, err := from.Get(itemKey(kb[:0], kDamaged, k), nil); err == nil {
			return nil, fmt.Errorf("engine: %s was set aside: %w", k.id(), queue.ErrCorrupt)
		}
		return nil, queue.ErrNotFound
	case err != nil:
		return nil, unavailable("read "+string(k.id()), err)
	}
	r, err := decodeRecord(b)
	if err == nil && r.key() != k {
		err = errShort
	}
	if err != nil {
		e.damaged(k, b)
		return nil, fmt.Errorf("engine: %s: %w: %w", k.id(), queue.ErrCorrupt, err)
	}
	return r, nil
}

// merge takes a request's changes into the batch. mu is held.
func (b *build) merge(o *op) {
	for _, c := range o.chunks {
		b.out.PutChunk(c.key, c.data)
	}
	for i := range o.changes {
		b.change(&o.changes[i])
	}
	for _, c := range o.drops {
		b.out.DropChunk(c)
	}
	for _, k := range o.deletes {
		b.out.Delete(k)
	}
	for _, p := range o.puts {
		b.out.Put(p.key, p.value)
	}
	for msg, g := range o.groups {
		if b.groups == nil {
			b.groups = map[uint64]*group{}
		}
		b.groups[msg] = g
		b.writeGroup(msg, g)
	}
	b.events = append(b.events, o.events...)
	b.after = append(b.after, o.after...)
	b.undos = append(b.undos, o.undo...)
	b.sync = b.sync || o.sync
}

// change writes one item.
func (b *build) change(c *change) {
	if c.staged {
		return // the op's after does it
	}
	e := b.e
	live := c.new
	if c.new != nil && c.new.Outcome != nil {
		live = nil
		b.finished(c)
	}
	b.key = itemKey(b.key[:0], kRecord, c.key)
	if live != nil {
		b.val = live.encode(b.val)
		b.out.Put(b.key, b.val)
		e.tot.add(live, 1)
		e.tot.newest = max(e.tot.newest, c.key.msg)
		b.queued = append(b.queued, live)
	} else if c.old != nil {
		b.out.Delete(b.key)
	}
	if c.old != nil {
		e.tot.add(c.old, -1)
	}
	b.writeIndex(c.old, live)
	b.count(c.old, -1)
	b.count(live, 1)
	b.over[c.key] = live
	e.pending[c.key] = true
	e.fresh.drop(c.key)
}

// finished moves an item into the history.
func (b *build) finished(c *change) {
	b.e.tot.newest = max(b.e.tot.newest, c.key.msg)
	if b.e.o.History < 0 {
		if c.new.dedupe != "" && !c.new.grouped {
			b.out.Delete(dedupeKey(c.new.dedupe))
		}
		return
	}
	b.val = c.new.encode(b.val)
	b.out.Put(itemKey(b.key[:0], kHistory, c.key), b.val)
	b.out.PutIndex(timedKey(nil, kByEnd, c.new.Outcome.At, c.key), nil)
	b.e.tot.history++
}

func dedupeKey(s string) []byte { return append([]byte{kDedupe}, s...) }

// finish adds what belongs to the batch as a whole. mu is held.
func (b *build) finish() {
	e := b.e
	if len(b.events) > 0 {
		e.tot.seq++
		b.val = encodeEvents(b.val, b.now, b.events)
		b.out.Put(seqKey(b.key[:0], kEvents, e.tot.seq), b.val)
	}
	b.writeCounts()
	if b.out.Len() > 0 {
		b.val = e.tot.encode(b.val)
		b.out.Put(append(b.key[:0], kTotals), b.val)
	}
}

// undo takes back what was remembered ahead of a batch that failed. Everything
// else is read anew when the log is up again.
func (b *build) undo() {
	for _, f := range b.undos {
		f()
	}
}

// settle makes what was committed visible. mu is held.
func (b *build) settle() {
	e := b.e
	for k, r := range b.over {
		delete(e.pending, k)
		if r != nil && e.epoch == b.epoch {
			e.fresh.put(k, r)
		}
	}
	for _, f := range b.after {
		f()
	}
	for _, r := range b.queued {
		if l := e.lanes[laneID{r.State, r.Stage}]; l != nil {
			l.came(r)
		}
		if r.held() && !r.Hold.Until.IsZero() {
			e.due.until = min(e.due.until, nanos(r.Hold.Until))
			e.wakeHousekeeper()
		}
		if b.over[r.key()] == r {
			e.enqueue(r)
		}
	}
	if len(b.events) > 0 && e.epoch == b.epoch {
		e.told = e.tot.seq // batches are settled in order, one at a time
	}
}

// group counts the parts of a split message.
type group struct {
	live  int
	next  uint32 // part number
	blobs []blob // of parts that are finished
}

func (b *build) writeGroup(msg uint64, g *group) {
	k := messageKey(b.key[:0], kGroup, msg)
	if g.live == 0 {
		b.out.Delete(k)
		return
	}
	e := encoder{b: append(b.val[:0], 0, 0, 0, 0, 0)}
	e.uint(uint64(g.live))
	e.uint(uint64(g.next))
	e.uint(uint64(len(g.blobs)))
	for _, bl := range g.blobs {
		e.uint(uint64(bl.id))
		e.uint(uint64(bl.size))
	}
	b.val = seal(e.b)
	b.out.Put(k, b.val)
}

// group loads the group of a split message, as a copy to change.
func (o *op) group(msg uint64) (*group, error) {
	if g := o.groups[msg]; g != nil {
		return g, nil
	}
	g := &group{}
	if was := o.b.groups[msg]; was != nil {
		*g = *was
	} else {
		b, err := o.b.e.log.Get(messageKey(nil, kGroup, msg), nil)
		if err != nil {
			return nil, unavailable("read group", err)
		}
		body, err := unseal(b)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", queue.ErrCorrupt, err)
		}
		d := decoder{b: body}
		g.live, g.next = int(d.uint()), uint32(d.uint())
		for range d.count(2) {
			g.blobs = append(g.blobs, blob{queue.BlobID(d.uint()), int64(d.uint())})
		}
		if d.err != nil {
			return nil, fmt.Errorf("%w: %w", queue.ErrCorrupt, d.err)
		}
	}
	o.setGroup(msg, g)
	return g, nil
}

func (o *op) setGroup(msg uint64, g *group) {
	if o.groups == nil {
		o.groups = map[uint64]*group{}
	}
	o.groups[msg] = g
}

// set records that an item is now r. Several changes of one item in one request
// are one.
func (o *op) set(old, r *rec) {
	k := r.key()
	for i := range o.changes {
		if o.changes[i].key == k {
			o.changes[i].new = r
			return
		}
	}
	o.changes = append(o.changes, change{key: k, old: old, new: r})
}
