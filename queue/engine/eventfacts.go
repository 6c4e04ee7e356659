package engine

import "mtad/queue"

// tell adds an event of an item, with the item's facts. One of a staged item is
// kept until the commit.
func (o *op) tell(r *rec, ev queue.Event) {
	ev.At, ev.ID, ev.State, ev.Facts = o.b.now, r.ID, r.State, o.factsOf(r)
	if !r.Staged {
		o.events = append(o.events, ev)
		return
	}
	if m := o.b.e.staged[r.key().msg]; m != nil {
		o.after = append(o.after, func() { m.untold = append(m.untold, ev) })
	}
}

func (o *op) event(kind queue.EventKind, r *rec, recipient, text string) {
	o.tell(r, queue.Event{Kind: kind, Recipient: recipient, Text: text})
}

// factsOf makes an item's facts once for a run of its events.
func (o *op) factsOf(r *rec) *queue.EventFacts {
	if o.facts == nil || o.factsRec != r {
		o.facts, o.factsRec = r.EventFacts(), r
	}
	return o.facts
}

// accepted tells of a new message.
func (o *op) accepted(r *rec) {
	ev := queue.Event{Kind: queue.EventAccepted, Size: r.Size()}
	ev.Recipients, ev.RecipientCount = eventPaths(r)
	o.tell(r, ev)
}

func eventPaths(r *rec) ([]string, int) {
	all := r.Envelope.Recipients
	paths := make([]string, 0, min(len(all), queue.MaxEventRecipients))
	for i := range all[:cap(paths)] {
		paths = append(paths, all[i].Path)
	}
	return paths, len(all)
}

// recipient tells of one recipient, whose record p is.
func (o *op) recipient(kind queue.EventKind, r *rec, p *queue.Recipient, text string) {
	o.tell(r, queue.Event{
		Kind: kind, Recipient: p.Path, Text: text, Status: p.Status,
		Transport: p.Transport, NextHop: p.NextHop, Remote: p.LastRemote,
	})
}

// deferral tells that an item is deferred until r.NextAt, and adds that to what
// was told of its recipients; without any it names them.
func (o *op) deferral(r *rec, text string) {
	ev := queue.Event{Kind: queue.EventDeferred, Text: text, NextAt: r.NextAt}
	for i := range o.events {
		if was := &o.events[i]; was.ID == r.ID && was.Kind == queue.EventDeferred && was.Recipient != "" {
			was.NextAt, ev.Summary = r.NextAt, true
		}
	}
	if !ev.Summary {
		ev.Recipients, ev.RecipientCount = eventPaths(r)
	}
	o.tell(r, ev)
}

// eventVerdict is a verdict as its event repeats it.
func eventVerdict(v queue.Verdict) *queue.Verdict {
	room := queue.MaxEventSymbols
	for i, s := range v.Symbols {
		if room -= len(s) + 1; room < 0 {
			v.Symbols = v.Symbols[:i:i]
			break
		}
	}
	return &v
}

// What follows an event's first fields, as bits.
const (
	moreFacts = 1 << iota // those of the event before when it is not set
	moreSummary
	moreRecipient
	morePaths
	moreNextAt
	moreVerdict
	moreHold
	moreOutcome
)

// more appends what every event has besides the fields of encodeEvents.
func (e *encoder) more(evs []queue.Event) {
	var last *queue.EventFacts
	for i := range evs {
		v := &evs[i]
		flags := moreOf(v)
		if !v.Facts.Equal(last) {
			flags |= moreFacts
			last = v.Facts
		}
		e.uint(flags)
		if flags&moreFacts != 0 {
			e.facts(v.Facts)
		}
		if flags&moreRecipient != 0 {
			e.byte(byte(v.Status))
			e.str(v.Transport)
			e.str(v.NextHop)
			e.str(v.Remote)
		}
		if flags&morePaths != 0 {
			e.uint(uint64(v.Size))
			e.uint(uint64(v.RecipientCount))
			e.uint(uint64(len(v.Recipients)))
			for _, p := range v.Recipients {
				e.str(p)
			}
		}
		if flags&moreNextAt != 0 {
			e.time(v.NextAt)
		}
		if flags&moreVerdict != 0 {
			e.verdicts([]queue.Verdict{*v.Verdict})
		}
		if flags&moreHold != 0 {
			e.str(v.Hold.By)
			e.str(v.Hold.Reason)
			e.time(v.Hold.Since)
			e.time(v.Hold.Until)
		}
		if flags&moreOutcome != 0 {
			e.byte(byte(v.Outcome.Disposition))
			e.str(v.Outcome.Reply)
		}
	}
}

func moreOf(v *queue.Event) (flags uint64) {
	for _, f := range []struct {
		bit uint64
		has bool
	}{
		{moreSummary, v.Summary}, {moreRecipient, v.Recipient != ""}, {morePaths, v.RecipientCount > 0 || v.Size > 0},
		{moreNextAt, !v.NextAt.IsZero()}, {moreVerdict, v.Verdict != nil}, {moreHold, v.Hold != nil}, {moreOutcome, v.Outcome != nil},
	} {
		if f.has {
			flags |= f.bit
		}
	}
	return flags
}

func (e *encoder) facts(f *queue.EventFacts) {
	if f == nil {
		f = &queue.EventFacts{}
	}
	e.byte(byte(f.Origin))
	e.str(string(f.Parent))
	e.str(f.ReversePath)
	e.str(f.EnvID)
	e.bool(f.MetaCut)
	e.uint(uint64(len(f.Meta)))
	for k, v := range f.Meta {
		e.str(k)
		e.str(v)
	}
}

// more reads what encoder.more wrote. A record of an earlier release ends
// before it.
func (d *decoder) more(evs []queue.Event) {
	if d.err != nil || len(d.b) == 0 {
		return
	}
	var last *queue.EventFacts
	for i := range evs {
		v := &evs[i]
		flags := d.uint()
		if flags&moreFacts != 0 {
			last = d.facts()
		}
		v.Facts, v.Summary = last, flags&moreSummary != 0
		if flags&moreRecipient != 0 {
			v.Status = queue.RecipientStatus(d.byte())
			v.Transport, v.NextHop, v.Remote = d.str(), d.str(), d.str()
		}
		if flags&morePaths != 0 {
			v.Size, v.RecipientCount = int64(d.uint()), int(d.uint())
			for range d.count(1) {
				v.Recipients = append(v.Recipients, d.str())
			}
		}
		if flags&moreNextAt != 0 {
			v.NextAt = d.time()
		}
		if flags&moreVerdict != 0 {
			if vs := d.verdicts(); len(vs) == 1 {
				v.Verdict = &vs[0]
			} else {
				d.fail()
			}
		}
		if flags&moreHold != 0 {
			v.Hold = &queue.Hold{By: d.str(), Reason: d.str(), Since: d.time(), Until: d.time()}
		}
		if flags&moreOutcome != 0 {
			v.Outcome = &queue.Outcome{Disposition: queue.Disposition(d.byte()), Reply: d.str(), At: v.At}
		}
		if d.err != nil {
			return
		}
	}
}

func (d *decoder) facts() *queue.EventFacts {
	f := &queue.EventFacts{Origin: queue.Origin(d.byte()), Parent: queue.ID(d.str()), ReversePath: d.str(), EnvID: d.str(), MetaCut: d.bool()}
	for range d.count(2) {
		if f.Meta == nil {
			f.Meta = map[string]string{}
		}
		k := d.str()
		f.Meta[k] = d.str()
	}
	return f
}
