package engine

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"mtad/queue"
)

// listing is one cursor chain: a snapshot, and what was leased then.
type listing struct {
	name   string
	f      queue.Filter
	snap   Snapshot
	leases map[key]*lease // copies
	stages []string
	asOf   time.Time

	mu     sync.Mutex // one page at a time
	used   time.Time  // under cursorTable.mu
	closed bool
}

// cursorTable bounds the listings that are kept for a next page.
type cursorTable struct {
	mu   sync.Mutex
	open map[string]*listing
}

func (t *cursorTable) init() { t.open = map[string]*listing{} }

// keep remembers a listing; the one used longest ago makes room.
func (t *cursorTable) keep(l *listing, limit int, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l.used = now
	t.open[l.name] = l
	for len(t.open) > limit {
		var oldest *listing
		for _, x := range t.open {
			if oldest == nil || x.used.Before(oldest.used) {
				oldest = x
			}
		}
		t.drop(oldest)
	}
}

func (t *cursorTable) drop(l *listing) {
	delete(t.open, l.name)
	go l.close()
}

func (t *cursorTable) find(name string, now time.Time) *listing {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.open[name]
	if l != nil {
		l.used = now
	}
	return l
}

// expire closes what was not used for a while.
func (t *cursorTable) expire(before time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.open {
		if l.used.Before(before) {
			t.drop(l)
		}
	}
}

func (t *cursorTable) closeAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.open {
		delete(t.open, l.name)
		l.close()
	}
}

func (l *listing) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		_ = l.snap.Close()
	}
}

// listing takes the snapshot of a new cursor chain.
func (e *Engine) listing(f queue.Filter) (*listing, error) {
	e.vis.RLock()
	defer e.vis.RUnlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.usable(); err != nil {
		return nil, err
	}
	snap, err := e.log.Snapshot()
	if err != nil {
		return nil, unavailable("list", err)
	}
	l := &listing{name: rand.Text(), f: f, snap: snap, asOf: e.o.Now().Round(0).UTC(), leases: make(map[key]*lease, len(e.leases.byKey))}
	for k, x := range e.leases.byKey {
		if !x.staged {
			c := *x
			l.leases[k] = &c
		}
	}
	for s := range e.tot.stages {
		l.stages = append(l.stages, s)
	}
	return l, nil
}

// List implements queue.Queue. It looks at records for half a second at the
// most: a page may be short, or empty, with a Next all the same.
func (e *Engine) List(ctx context.Context, f queue.Filter, after queue.Cursor, n int) (queue.Page, error) {
	if n <= 0 {
		n = 100
	}
	n = min(n, queue.MaxPage)
	l, from, err := e.resume(f, after)
	if err != nil {
		return queue.Page{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return queue.Page{}, queue.ErrExpired
	}
	p := queue.Page{AsOf: l.asOf}
	var last key
	stop := time.Now().Add(500 * time.Millisecond)
	more, err := e.walk(ctx, l, from, func(k key, r *rec) bool {
		if r != nil {
			if len(p.Items) == n {
				return false
			}
			p.Items = append(p.Items, e.listed(r, l.leases[k]))
		}
		last = k
		return r != nil || !time.Now().After(stop)
	})
	if err != nil {
		if after == "" {
			go l.close()
		}
		return queue.Page{}, err
	}
	if !more {
		if after == "" {
			go l.close()
		}
		return p, nil
	}
	if after == "" {
		e.cursors.keep(l, e.o.MaxCursors, e.o.Now())
	}
	p.Next = queue.Cursor(l.name + "." + hex.EncodeToString(appendKey(nil, last)))
	return p, nil
}

// resume finds the listing of a cursor, or begins one.
func (e *Engine) resume(f queue.Filter, after queue.Cursor) (*listing, key, error) {
	if after == "" {
		l, err := e.listing(f)
		return l, key{}, err
	}
	name, at, ok := strings.Cut(string(after), ".")
	b, err := hex.DecodeString(at)
	if !ok || err != nil || len(b) != 12 {
		return nil, key{}, fmt.Errorf("%w: cursor", queue.ErrInvalid)
	}
	l := e.cursors.find(name, e.o.Now())
	if l == nil {
		return nil, key{}, queue.ErrExpired
	}
	return l, tailKey(b), nil
}

// listed is an item in a listing: without most of many recipients.
func (e *Engine) listed(r *rec, l *lease) queue.Item {
	c := *r
	n := len(r.Envelope.Recipients)
	if n > queue.MaxListRecipients {
		c.Envelope.Recipients = r.Envelope.Recipients[:queue.MaxListRecipients]
	}
	it := e.show(&c, l)
	it.RecipientCount = n
	return it
}

// walk calls f with every item after from that matches, oldest first, and with a
// nil rec for others it had to read. It stops when f says false, and then there
// may be more.
func (e *Engine) walk(ctx context.Context, l *listing, from key, f func(k key, r *rec) bool) (bool, error) {
	src, err := l.source(from)
	if err != nil {
		return false, unavailable("list", err)
	}
	defer src.close()
	for n := 0; ; n++ {
		k, ok, err := src.next()
		if err != nil {
			return false, unavailable("list", err)
		}
		if !ok {
			return false, nil
		}
		if n%64 == 63 && ctx.Err() != nil {
			return false, ctx.Err()
		}
		r, err := e.read(l.snap, k)
		if err != nil {
			if isUnreadable(err) {
				continue
			}
			return false, err
		}
		x := l.leases[k]
		it := r.Item
		it.State = e.stateOf(r, x)
		if !l.f.Match(&it, l.asOf) {
			r = nil
		}
		if !f(k, r) {
			return true, nil
		}
	}
}

// source is where candidates come from, in the order of keys.
type source struct {
	its  []*ranged
	keys []key // instead of its
}

type ranged struct {
	it Iter
	k  key
	ok bool
}

func (s *source) close() {
	for _, r := range s.its {
		_ = r.it.Close()
	}
}

// next is the smallest candidate not seen yet.
func (s *source) next() (key, bool, error) {
	if len(s.its) == 0 {
		if len(s.keys) == 0 {
			return key{}, false, nil
		}
		k := s.keys[0]
		s.keys = s.keys[1:]
		return k, true, nil
	}
	var best *ranged
	for _, r := range s.its {
		if r.ok && (best == nil || r.k.less(best.k)) {
			best = r
		}
	}
	if best == nil {
		for _, r := range s.its {
			if err := r.it.Err(); err != nil {
				return key{}, false, err
			}
		}
		return key{}, false, nil
	}
	k := best.k
	for _, r := range s.its {
		for r.ok && r.k == k {
			r.step()
		}
	}
	return k, true, nil
}

func (r *ranged) step() {
	if r.ok = r.it.Next(); r.ok {
		r.k = tailKey(r.it.Key())
	}
}

// exact says that a pattern of a filter names one word.
func exact(p string) bool { return p != "" && !strings.Contains(p, "*") }

// source picks the index that leaves the least to read.
func (l *listing) source(from key) (*source, error) {
	f := &l.f
	switch {
	case len(f.IDs) > 0:
		return l.byID(from)
	case len(f.States) > 0 && !slices.ContainsFunc(f.States, func(s queue.State) bool { return s != queue.Active }):
		return l.leasedOnes(from), nil
	case f.Sender == "<>":
		return l.ranges(from, word([]byte{kSender}, ""))
	case exact(f.Sender):
		return l.ranges(from, word([]byte{kSender}, fold(f.Sender)))
	case f.Held != nil && *f.Held, f.Quarantined != nil && *f.Quarantined, f.HoldBy != "", f.Reason != "":
		return l.ranges(from, []byte{kHeld})
	case exact(f.Recipient):
		return l.ranges(from, word([]byte{kRcpt}, fold(f.Recipient)), word([]byte{kRcpt}, manyRecipients))
	case exact(f.NextHop):
		return l.ranges(from, word([]byte{kHop}, fold(f.NextHop)), word([]byte{kHop}, manyRecipients))
	case len(f.States) > 0 || f.Stage != "":
		return l.ranges(from, l.statePrefixes()...)
	}
	return l.ranges(from, []byte{kRecord})
}

// statePrefixes are the parts of the index by state that a filter needs.
func (l *listing) statePrefixes() [][]byte {
	var ps [][]byte
	states := l.f.States
	if l.f.Stage != "" {
		states = []queue.State{queue.Unfiltered}
	}
	seen := map[queue.State]bool{}
	add := func(st queue.State, stage string) {
		ps = append(ps, word([]byte{kState, byte(st)}, stage))
	}
	for _, st := range states {
		for _, s := range onDisk(st) {
			if seen[s] {
				continue
			}
			seen[s] = true
			if s != queue.Unfiltered {
				add(s, "")
				continue
			}
			for _, stage := range l.stages {
				add(s, stage)
			}
		}
	}
	return ps
}

// onDisk are the stored states of items that are seen in st.
func onDisk(st queue.State) []queue.State {
	if st == queue.Active {
		return []queue.State{queue.Incoming, queue.Deferred}
	}
	return []queue.State{st}
}

// ranges merges ranges of the index that end with the item.
func (l *listing) ranges(from key, prefixes ...[]byte) (*source, error) {
	s := &source{}
	if len(prefixes) == 0 {
		return s, nil
	}
	for _, p := range prefixes {
		it, err := l.snap.Range(p, after(p))
		if err != nil {
			s.close()
			return nil, err
		}
		r := &ranged{it: it}
		s.its = append(s.its, r)
		start := appendKey(bytes.Clone(p), from)
		if r.ok = it.Seek(start); r.ok {
			r.k = tailKey(it.Key())
		}
		for r.ok && !from.less(r.k) {
			r.step()
		}
	}
	return s, nil
}

// byID are the items that are named, with all parts of named messages.
func (l *listing) byID(from key) (*source, error) {
	s := &source{}
	seen := map[key]bool{}
	for _, id := range l.f.IDs {
		k, ok := parseKey(id)
		if !ok {
			continue
		}
		if k.part != 0 {
			seen[k] = true
			continue
		}
		prefix := messageKey(nil, kRecord, k.msg)
		it, err := l.snap.Range(prefix, after(prefix))
		if err != nil {
			return nil, err
		}
		for it.Next() {
			seen[tailKey(it.Key())] = true
		}
		err = it.Err()
		_ = it.Close()
		if err != nil {
			return nil, err
		}
	}
	for k := range seen {
		if from.less(k) {
			s.keys = append(s.keys, k)
		}
	}
	s.sort()
	return s, nil
}

// leasedOnes are the items that were leased.
func (l *listing) leasedOnes(from key) *source {
	s := &source{}
	for k := range l.leases {
		if from.less(k) {
			s.keys = append(s.keys, k)
		}
	}
	s.sort()
	return s
}

func (s *source) sort() {
	slices.SortFunc(s.keys, func(a, b key) int {
		if a.less(b) {
			return -1
		}
		return 1
	})
}

// Count implements queue.Queue.
func (e *Engine) Count(ctx context.Context, f queue.Filter) (queue.Tally, error) {
	l, err := e.listing(f)
	if err != nil {
		return queue.Tally{}, err
	}
	defer l.close()
	var t queue.Tally
	_, err = e.walk(ctx, l, key{}, func(_ key, r *rec) bool {
		if r != nil {
			t.Messages++
			t.Recipients += int64(len(r.Envelope.Recipients))
			t.Bytes += r.Size()
		}
		return true
	})
	return t, err
}
