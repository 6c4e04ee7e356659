package milterfilter

import (
	"context"
	"sync"

	"mtad/internal/milter"
	"mtad/queue"
)

// Live has the conversations that Gates lead, for the scans of the messages that
// come out of them: one whose client waits for the verdict is told the content in
// the conversation that saw its envelope. Gates and Filters share one, also those
// of different configurations. The zero Live is ready; it is safe for concurrent
// use.
type Live struct {
	mu     sync.Mutex
	offers map[subject]*offer
}

// subject is what an offer is for.
type subject struct {
	filter string
	id     queue.ID
}

// offer is a conversation that a Dialogue lends. While it is taken it is the
// scan's.
type offer struct {
	subject
	f      *Filter
	home   context.Context // bounds the conversation outside of the scan
	s      *milter.Session // nil with an answer
	macros macros
	with   greeted
	told   []string       // of the envelope, as toldOf has it
	answer *milter.Answer // that has ended the milter's part already

	state offerState // guarded by Live.mu
}

type offerState uint8

const (
	offered  offerState = iota
	taken               // a scan has it
	returned            // and gave it back as it was
	spent               // or of no more use
	left                // the dialogue does not wait for it
)

func (l *Live) offer(o *offer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.offers == nil {
		l.offers = map[subject]*offer{}
	}
	l.offers[o.subject] = o
}

// take returns what was offered for a message, once; nil when nothing was.
func (l *Live) take(filter string, id queue.ID) *offer {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	key := subject{filter, id}
	o := l.offers[key]
	if o != nil {
		delete(l.offers, key)
		o.state = taken
	}
	return o
}

// giveBack ends a scan's use; good says that the conversation may go on.
func (l *Live) giveBack(o *offer, good bool) {
	good = good && (o.s == nil || o.s.Bind(o.home))
	l.mu.Lock()
	abandoned := o.state == left
	if o.state = spent; good {
		o.state = returned
	}
	l.mu.Unlock()
	if abandoned && o.s != nil {
		o.s.Close()
	}
}

// reclaim ends an offer. With left the conversation is not the dialogue's any
// more: the scan that has it closes it.
func (l *Live) reclaim(o *offer) offerState {
	l.mu.Lock()
	defer l.mu.Unlock()
	if o.state == taken {
		o.state = left
		return left
	}
	if l.offers[o.subject] == o {
		delete(l.offers, o.subject)
	}
	return o.state
}

// fits says that the conversation has heard of a message what a replay by f would
// tell now: earlier filters may have changed the envelope since, or split it, and
// the milter may be another by now.
func (o *offer) fits(f *Filter, it *queue.Item) bool {
	if !o.f.same(f) {
		return false
	}
	with, now := o.with, greetedBy(&it.Envelope.Client)
	with.protocol, now.protocol = "", "" // at HELO it is not the message's yet
	lines := toldOf(&it.Envelope)
	return with == now && startsWith(lines, o.told) && (o.answer != nil || len(lines) == len(o.told))
}

// same says that two Filters are the same milter, told the same of us.
func (f *Filter) same(g *Filter) bool {
	return f.o.Milter.Network == g.o.Milter.Network && f.o.Milter.Address == g.o.Milter.Address &&
		f.o.Hostname == g.o.Hostname && f.o.Version == g.o.Version
}
