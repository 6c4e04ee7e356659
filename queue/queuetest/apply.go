package queuetest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"mtad/queue"
)

// nonceLife is how long a Nonce is remembered.
const nonceLife = 10 * time.Minute

type nonce struct {
	token queue.Token
	id    queue.ID
	text  string
}

type answer struct {
	at    time.Time
	items []queue.Item
}

// change is a Txn under way: it works on copies, which take the places of the
// originals when every op went well.
type change struct {
	m   *Model
	x   queue.Txn
	now time.Time
	msg *message // a copy, too

	old    *item
	lease  *lease         // the living lease of old
	items  []*item        // old's copy first, then the parts it was split into
	ended  map[*item]bool // a Move or Finish ended its lease
	failed map[*item]bool // by FailPending
	added  map[*item]bool // recipients were
	used   map[queue.BlobID]bool
	events []queue.Event
}

// Apply makes a change.
func (m *Model) Apply(ctx context.Context, x queue.Txn) ([]queue.Item, error) {
	now, err := m.enter()
	defer m.leave()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(x.Nonce) > 64 {
		return nil, fmt.Errorf("%w: nonce of %d octets", queue.ErrTooLarge, len(x.Nonce))
	}
	key := nonce{x.Token, x.ID, x.Nonce}
	if a, ok := m.state.nonces[key]; ok && x.Nonce != "" {
		return cloneItems(a.items), nil
	}
	items, err := m.apply(x, now)
	if err == nil && x.Nonce != "" {
		m.state.nonces[key] = answer{now, cloneItems(items)}
	}
	return items, err
}

func cloneItems(items []queue.Item) []queue.Item {
	out := slices.Clone(items)
	for i := range out {
		out[i] = cloneItem(out[i])
	}
	return out
}

func (m *Model) apply(x queue.Txn, now time.Time) ([]queue.Item, error) {
	it, err := m.target(x)
	if err != nil {
		return nil, err
	}
	c := &change{m: m, x: x, now: now, msg: it.msg.clone(), old: it, lease: it.lease, ended: map[*item]bool{}, failed: map[*item]bool{}, added: map[*item]bool{}, used: map[queue.BlobID]bool{}}
	if c.lease == nil {
		c.lease = &lease{}
	}
	if len(x.Ops) == 0 {
		return []queue.Item{it.view()}, nil
	}
	work := it.clone()
	if c.lease.delivery {
		work.State = queue.Active
	}
	c.items = []*item{work}
	if err := c.all(work, x.Ops); err != nil {
		return nil, err
	}
	return c.commit(), nil
}

// target finds the item that a Txn names and checks that it may.
func (m *Model) target(x queue.Txn) (*item, error) {
	if (x.Token == "") == (x.ID == "") {
		return nil, fmt.Errorf("%w: a change names a token or an ID", queue.ErrInvalid)
	}
	if x.Token != "" {
		l, err := m.held(x.Token)
		if err != nil {
			return nil, err
		}
		return l.item, nil
	}
	it := m.state.items[x.ID]
	switch {
	case it == nil || it.msg.staged:
		return nil, queue.ErrNotFound
	case x.Rev != "" && x.Rev != it.Rev:
		return nil, fmt.Errorf("%w: revision is %s", queue.ErrConflict, it.Rev)
	case it.lease != nil && !x.Force:
		return nil, fmt.Errorf("%w: leased to %s", queue.ErrConflict, it.lease.holder)
	}
	return it, nil
}

func (c *change) all(it *item, ops []queue.Op) error {
	for _, op := range ops {
		if it.Outcome != nil {
			return fmt.Errorf("%w: change after finish", queue.ErrInvalid)
		}
		if err := c.do(it, op); err != nil {
			return err
		}
	}
	return nil
}

// commit puts the copies in place.
func (c *change) commit() []queue.Item {
	m := c.m
	if !c.old.msg.staged {
		m.durable(c.x.Token != "" && c.lease.delivery)
	}
	c.settle()
	*c.old.msg = *c.msg
	for i, it := range c.items {
		it.msg = c.old.msg
		if i == 0 {
			*c.old = *it
			c.items[0], it = c.old, c.old
		}
		m.state.put(it)
	}
	for id := range c.used {
		c.lease.uploads[id] = true
	}
	if c.old.lease != nil && (c.ended[c.old] || c.x.Token == "") {
		m.drop(c.lease)
	}
	m.tellAll(c.old.msg, c.events)
	m.wake()
	return c.views()
}

// put files an item where it belongs now, under a new revision.
func (s *state) put(it *item) {
	s.touch(it)
	if it.Outcome == nil {
		s.items[it.ID] = it
		return
	}
	delete(s.items, it.ID)
	if it.msg.staged {
		it.msg.rejected = append(it.msg.rejected, it)
		return
	}
	s.finished[it.ID] = it
}

// settle gives items that are Active back the state they were claimed from (as
// long as the lease lives, view says Active), lets the queue manager have what
// failed while it was unfiltered, and splits by route what entered Incoming.
func (c *change) settle() {
	for _, it := range slices.Clone(c.items) {
		if it.State == queue.Unfiltered && c.failed[it] && !c.ended[it] {
			it.State, it.Stage, it.LostClaims = queue.Incoming, "", 0
			c.ended[it] = true
		}
		switch {
		case it.State == queue.Active:
			it.State = c.old.State
		case it.Outcome != nil:
		case it.State == queue.Incoming && c.ended[it], it.State != queue.Unfiltered && c.added[it]:
			c.items = append(c.items, c.byRoute(it)[1:]...)
		}
	}
	c.ended[c.old] = c.ended[c.items[0]]
}

func (c *change) views() []queue.Item {
	var out []queue.Item
	for _, it := range c.items {
		out = append(out, it.view())
	}
	return out
}

// part makes a new item of the message from some recipients of it.
func (c *change) part(it *item, recipients []queue.Recipient) (*item, error) {
	if c.msg.nextPart > queue.MaxPart {
		return nil, fmt.Errorf("%w: parts of one message", queue.ErrTooLarge)
	}
	p := it.clone()
	message, _ := it.ID.Bits()
	p.ID = queue.IDFromBits(message, c.msg.nextPart)
	c.msg.nextPart++
	p.lease = nil
	p.Envelope.Recipients = recipients
	p.step(c.now, queue.EventSplit, "from "+string(it.ID))
	c.events = append(c.events, queue.Event{At: c.now, Kind: queue.EventSplit, ID: p.ID, State: p.State, Text: string(it.ID)})
	return p, nil
}

// byRoute splits an item that enters Incoming: one (transport, next hop) of
// pending recipients each. Those that are not pending stay in the item.
func (c *change) byRoute(it *item) []*item {
	type route struct{ transport, hop string }
	var order []route
	groups := map[route][]queue.Recipient{}
	var stay []queue.Recipient
	for _, r := range it.Envelope.Recipients {
		k := route{r.Transport, r.NextHop}
		if r.Status == queue.Pending && len(groups[k]) == 0 {
			order = append(order, k)
		}
		if r.Status != queue.Pending || k == order[0] {
			stay = append(stay, r)
		}
		if r.Status == queue.Pending {
			groups[k] = append(groups[k], r)
		}
	}
	out := []*item{it}
	if len(order) < 2 {
		return out
	}
	it.Envelope.Recipients = stay
	for _, k := range order[1:] {
		p, err := c.part(it, groups[k])
		if err != nil {
			// MaxPart exceeds MaxRecipients many times over.
			panic(err)
		}
		out = append(out, p)
	}
	return out
}

// step adds to the trail; beyond MaxTrail the first half and the newest stay.
func (it *item) step(at time.Time, kind queue.EventKind, text string) {
	if len(it.Trail) == queue.MaxTrail {
		it.Trail = slices.Delete(it.Trail, queue.MaxTrail/2, queue.MaxTrail/2+1)
	}
	it.Trail = append(it.Trail, queue.Step{At: at, Kind: kind, Text: text})
}
