package engine

import (
	"fmt"
	"slices"

	"mtad/queue"
)

const (
	maxPath = 1000 // octets of a path; RFC 5321 §4.5.3.1.3 asks for 256
	maxAttr = 2000 // octets of any other string of an envelope
)

func (d *draft) ownRecipients() {
	if !d.own {
		d.r.Envelope.Recipients = slices.Clone(d.r.Envelope.Recipients)
		d.own = true
	}
}

func checkRecipient(p *queue.Recipient) error {
	if p.Path == "" {
		return fmt.Errorf("%w: recipient without a path", queue.ErrInvalid)
	}
	if len(p.Path) > maxPath || len(p.OrigPath) > maxPath {
		return tooLarge("path", maxPath)
	}
	if len(p.ORCPT) > maxAttr || len(p.Transport) > maxAttr || len(p.NextHop) > maxAttr {
		return tooLarge("recipient", maxAttr)
	}
	if len(p.LastReply) > queue.MaxText || len(p.LastRemote) > queue.MaxText {
		return tooLarge("reply", queue.MaxText)
	}
	return nil
}

func (d *draft) addRecipients(rs []queue.Recipient) error {
	known := make(map[string]bool, len(d.r.Envelope.Recipients))
	for i := range d.r.Envelope.Recipients {
		known[d.r.Envelope.Recipients[i].Path] = true
	}
	d.ownRecipients()
	for _, p := range rs {
		if err := checkRecipient(&p); err != nil {
			return err
		}
		if known[p.Path] {
			continue
		}
		known[p.Path] = true
		d.added = true
		p.LastAttempt = clean(p.LastAttempt)
		d.r.Envelope.Recipients = append(d.r.Envelope.Recipients, p)
	}
	if len(d.r.Envelope.Recipients) > queue.MaxRecipients {
		return tooLarge("recipients", queue.MaxRecipients)
	}
	d.note(queue.EventChanged, "recipients added")
	return nil
}

func (d *draft) updateRecipients(us []queue.RecipientUpdate) error {
	d.ownRecipients()
	for n, u := range us {
		if u.Index < 0 || u.Index >= len(d.r.Envelope.Recipients) {
			return fmt.Errorf("%w: no recipient %d", queue.ErrInvalid, u.Index)
		}
		if u.Status > queue.Removed {
			return fmt.Errorf("%w: recipient status %d", queue.ErrInvalid, u.Status)
		}
		if len(u.Reply) > queue.MaxText || len(u.Remote) > queue.MaxText {
			return tooLarge("reply", queue.MaxText)
		}
		if len(u.Transport) > maxAttr || len(u.NextHop) > maxAttr {
			return tooLarge("route", maxAttr)
		}
		d.updateRecipient(&d.r.Envelope.Recipients[u.Index], &u, n < maxTold)
	}
	return nil
}

// maxTold bounds the recipients of one change that the trail speaks of: with
// thousands it would hold nothing else. Each has its own event.
const maxTold = 5

// told is an event of one recipient, and with trail a step.
func (d *draft) told(kind queue.EventKind, p *queue.Recipient, reply string, trail bool) {
	d.t.o.recipient(kind, d.r, p, reply)
	if trail {
		text := p.Path + ": " + reply
		addStep(d.r, queue.Step{At: d.now(), Kind: kind, Text: text[:min(len(text), queue.MaxText)]})
	}
}

func (d *draft) updateRecipient(p *queue.Recipient, u *queue.RecipientUpdate, trail bool) {
	was := p.Status
	p.Status = u.Status
	if u.Attempted {
		p.Attempts++
		p.LastAttempt = d.now()
	}
	set := func(dst *string, v string) {
		if v != "" {
			*dst = v
		}
	}
	set(&p.LastReply, u.Reply)
	set(&p.LastRemote, u.Remote)
	set(&p.Transport, u.Transport)
	set(&p.NextHop, u.NextHop)
	p.DelaySent = p.DelaySent || u.DelaySent
	p.Reported = p.Reported || u.Reported
	if was == p.Status && !u.Attempted {
		return
	}
	switch p.Status {
	case queue.Pending:
		d.told(queue.EventDeferred, p, u.Reply, trail)
	case queue.Delivered, queue.Relayed:
		d.told(queue.EventDelivered, p, u.Reply, trail)
	case queue.Failed:
		d.told(queue.EventFailed, p, u.Reply, trail)
	case queue.Removed:
		d.t.o.recipient(queue.EventChanged, d.r, p, "recipient removed")
	}
}

// split takes recipients out into parts of their own.
func (d *draft) split(parts []queue.Part) error {
	taken := make([]bool, len(d.r.Envelope.Recipients))
	n := 0
	for _, p := range parts {
		if len(p.Recipients) == 0 {
			return fmt.Errorf("%w: part without recipients", queue.ErrInvalid)
		}
		for _, i := range p.Recipients {
			if i < 0 || i >= len(taken) || taken[i] {
				return fmt.Errorf("%w: recipient %d in a split", queue.ErrInvalid, i)
			}
			taken[i] = true
			n++
		}
		for _, o := range p.Ops {
			if _, ok := o.(queue.Split); ok {
				return fmt.Errorf("%w: split within a split", queue.ErrInvalid)
			}
		}
	}
	if n >= len(taken) {
		return fmt.Errorf("%w: a split leaves at least one recipient", queue.ErrInvalid)
	}
	if n == 0 {
		return nil
	}
	var made []*draft
	for _, p := range parts {
		part, err := d.newPart(p.Recipients)
		if err != nil {
			return err
		}
		made = append(made, part)
	}
	d.keep(taken)
	d.note(queue.EventSplit, fmt.Sprintf("%d parts", len(parts)))
	for i, part := range made {
		if err := part.apply(parts[i].Ops); err != nil {
			return err
		}
		if err := part.settle(); err != nil {
			return err
		}
	}
	return nil
}

// keep leaves the recipients that were not taken.
func (d *draft) keep(taken []bool) {
	var rest []queue.Recipient
	for i, p := range d.r.Envelope.Recipients {
		if !taken[i] {
			rest = append(rest, p)
		}
	}
	d.r.Envelope.Recipients, d.own = rest, true
}

// newPart makes a part of some recipients, in the place of d.
func (d *draft) newPart(recipients []int) (*draft, error) {
	n, err := d.t.nextPart()
	if err != nil {
		return nil, err
	}
	part := &draft{t: d.t, r: d.r.draft(), state: d.state, moved: d.moved, ended: d.ended, own: true}
	part.r.ID = queue.IDFromBits(d.r.key().msg, n)
	part.r.rev = d.t.e.revs.Add(1)
	part.r.Envelope.Recipients = make([]queue.Recipient, 0, len(recipients))
	for _, i := range recipients {
		part.r.Envelope.Recipients = append(part.r.Envelope.Recipients, d.r.Envelope.Recipients[i])
	}
	d.t.items = append(d.t.items, part)
	return part, nil
}

// nextPart draws a part number.
func (t *txn) nextPart() (uint32, error) {
	main := t.items[0].r
	msg := main.key().msg
	if t.lease != nil && t.lease.staged {
		m := t.e.staged[msg]
		if m == nil {
			return 0, queue.ErrLeaseLost
		}
		m.parts++
		return m.parts, nil
	}
	g := t.o.groups[msg]
	if g == nil {
		if !main.grouped {
			g = &group{live: 1, next: 1}
			t.o.setGroup(msg, g)
			main.grouped = true
		} else {
			var err error
			if g, err = t.o.group(msg); err != nil {
				return 0, err
			}
		}
	}
	if g.next > queue.MaxPart {
		return 0, tooLarge("parts", queue.MaxPart)
	}
	n := g.next
	g.next++
	return n, nil
}

// splitByHop leaves in the item the recipients of one (transport, next hop),
// and those that are not pending.
func (d *draft) splitByHop() error {
	type route struct{ transport, hop string }
	var first *route
	var order []route
	byRoute := map[route][]int{}
	rs := d.r.Envelope.Recipients
	for i := range rs {
		if rs[i].Status != queue.Pending {
			continue
		}
		at := route{rs[i].Transport, rs[i].NextHop}
		switch {
		case first == nil:
			first = &at
		case at == *first:
		default:
			if byRoute[at] == nil {
				order = append(order, at)
			}
			byRoute[at] = append(byRoute[at], i)
		}
	}
	if len(order) == 0 {
		return nil
	}
	taken := make([]bool, len(rs))
	for _, at := range order {
		if _, err := d.newPart(byRoute[at]); err != nil {
			return err
		}
		for _, i := range byRoute[at] {
			taken[i] = true
		}
	}
	d.keep(taken)
	d.note(queue.EventSplit, fmt.Sprintf("%d next hops", len(order)+1))
	return nil
}
