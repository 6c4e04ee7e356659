package queuetest

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"mtad/queue"
)

// state is what a Model knows, apart from leases.
type state struct {
	items    map[queue.ID]*item // live, staged ones too
	finished map[queue.ID]*item // of committed messages
	staged   map[*message]bool
	dedupe   map[string]queue.ID
	nonces   map[nonce]answer
	jobs     map[queue.JobID]*job
	jobN     int
	events   []queue.Event
	lastID   time.Time // millisecond of the last ID
	seq      uint16
	rev      uint64
}

// message is what the parts of one message share.
type message struct {
	id       queue.ID
	staged   bool
	dedupe   string
	blobs    map[queue.BlobID][]byte
	nextBlob queue.BlobID
	nextPart uint32
	waiting  []queue.Event // of a staged message: told at the commit
	rejected []*item       // finished parts of a staged message
}

// item is a queue.Item and what does not show. Item.State is where it stands
// without a lease; view says Active.
type item struct {
	queue.Item
	msg       *message
	lease     *lease
	notBefore time.Time // a Release's delay; memory only
}

// lease is one claim.
type lease struct {
	token        queue.Token
	holder       string
	stage        string
	since, until time.Time
	delivery     bool                  // the queue manager's: the item is Active
	uploads      map[queue.BlobID]bool // true: a generation names it
	item         *item
}

func newState() *state {
	return &state{
		items:    map[queue.ID]*item{},
		finished: map[queue.ID]*item{},
		staged:   map[*message]bool{},
		dedupe:   map[string]queue.ID{},
		nonces:   map[nonce]answer{},
		jobs:     map[queue.JobID]*job{},
	}
}

// survivors is a deep copy of what is left without power.
func (s *state) survivors() *state {
	c := *s
	c.items, c.finished, c.staged = map[queue.ID]*item{}, map[queue.ID]*item{}, map[*message]bool{}
	messages := map[*message]*message{}
	keep := func(from, to map[queue.ID]*item) {
		for id, it := range from {
			if it.msg.staged {
				continue
			}
			n := it.clone()
			n.lease, n.notBefore = nil, time.Time{}
			if messages[it.msg] == nil {
				messages[it.msg] = it.msg.clone()
			}
			n.msg = messages[it.msg]
			to[id] = n
		}
	}
	keep(s.items, c.items)
	keep(s.finished, c.finished)
	c.dedupe, c.nonces = maps.Clone(s.dedupe), maps.Clone(s.nonces)
	c.events = slices.Clone(s.events)
	c.jobs = map[queue.JobID]*job{}
	for id, j := range s.jobs {
		n := *j
		n.left = slices.Clone(j.left)
		c.jobs[id] = &n
	}
	return &c
}

func (m *message) clone() *message {
	c := *m
	c.blobs = maps.Clone(m.blobs)
	c.waiting = slices.Clone(m.waiting)
	c.rejected = slices.Clone(m.rejected)
	return &c
}

func (it *item) clone() *item {
	c := *it
	c.Item = cloneItem(it.Item)
	return &c
}

// touch gives the item a new revision.
func (s *state) touch(it *item) {
	s.rev++
	it.Rev = queue.Rev(fmt.Sprintf("r%d", s.rev))
}

// newID is unique and rises, also when the clock does not.
func (s *state) newID(now time.Time) queue.ID {
	now = now.Truncate(time.Millisecond)
	switch {
	case now.After(s.lastID):
		s.lastID, s.seq = now, 0
	case s.seq == 1<<14-1:
		s.lastID, s.seq = s.lastID.Add(time.Millisecond), 0
	default:
		s.seq++
	}
	return queue.IDOf(s.lastID, 0, s.seq)
}

// view is the item as a caller sees it.
func (it *item) view() queue.Item {
	v := cloneItem(it.Item)
	v.Staged = it.msg.staged
	v.RecipientCount = len(v.Envelope.Recipients)
	if l := it.lease; l != nil {
		v.Lease = &queue.Lease{Holder: l.holder, Since: l.since, Until: l.until, Stage: l.stage}
		if l.delivery {
			v.State = queue.Active
		}
	}
	return v
}

func cloneItem(it queue.Item) queue.Item {
	it.Envelope.Recipients = slices.Clone(it.Envelope.Recipients)
	it.Trace = slices.Clone(it.Trace)
	it.Generations = slices.Clone(it.Generations)
	for i := range it.Generations {
		it.Generations[i].Segments = slices.Clone(it.Generations[i].Segments)
	}
	it.Verdicts = slices.Clone(it.Verdicts)
	for i := range it.Verdicts {
		it.Verdicts[i].Symbols = slices.Clone(it.Verdicts[i].Symbols)
	}
	it.Hold, it.Lease, it.Outcome = clonePtr(it.Hold), clonePtr(it.Lease), clonePtr(it.Outcome)
	it.Trail = slices.Clone(it.Trail)
	it.Meta = maps.Clone(it.Meta)
	return it
}

func clonePtr[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// live lists the items that match, oldest first.
func (s *state) live(match func(*item) bool) []*item {
	var out []*item
	for _, it := range s.items {
		if match(it) {
			out = append(out, it)
		}
	}
	slices.SortFunc(out, func(a, b *item) int { return compareID(a.ID, b.ID) })
	return out
}

func compareID(a, b queue.ID) int {
	am, ap := a.Bits()
	bm, bp := b.Bits()
	switch {
	case am != bm && am < bm, am == bm && ap < bp:
		return -1
	case am == bm && ap == bp:
		return 0
	}
	return 1
}
