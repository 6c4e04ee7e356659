package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mtad/queue"
)

// draft is an item while a Txn works on it.
type draft struct {
	t      *txn
	r      *rec
	state  queue.State // as people see it: Active under a lease from there
	ended  bool        // a Move ended the lease
	moved  bool
	failed bool // FailPending was asked for
	added  bool // recipients were added
	own    bool // Envelope.Recipients is a copy already
}

// apply makes the changes in order.
func (d *draft) apply(ops []queue.Op) error {
	for _, o := range ops {
		if d.r.Outcome != nil {
			return fmt.Errorf("%w: a change after finish", queue.ErrInvalid)
		}
		if err := d.one(o); err != nil {
			return err
		}
	}
	return nil
}

func (d *draft) one(o queue.Op) error {
	switch o := o.(type) {
	case queue.Move:
		return d.move(o)
	case queue.SetContent:
		return d.setContent(o)
	case queue.AddRecipients:
		return d.addRecipients(o.Recipients)
	case queue.UpdateRecipients:
		return d.updateRecipients(o.Updates)
	case queue.SetReversePath:
		if len(o.Path) > maxPath {
			return tooLarge("reverse-path", maxPath)
		}
		d.r.Envelope.ReversePath = o.Path
		d.t.o.facts = nil
		d.note(queue.EventChanged, "reverse-path")
	case queue.AddVerdict:
		return d.addVerdict(o.Verdict)
	case queue.SetHold:
		return d.setHold(o.Hold)
	case queue.ReleaseHold:
		if d.r.Hold != nil {
			d.r.Hold = nil
			d.r.LostClaims = 0
			d.note(queue.EventReleased, "")
		}
	case queue.SetPriority:
		d.r.Priority = o.Priority
		d.note(queue.EventChanged, "priority")
	case queue.SetNextAt:
		d.r.NextAt = clean(o.At)
		d.note(queue.EventChanged, "next attempt")
	case queue.SetMeta:
		return d.setMeta(o.Set)
	case queue.Attempt:
		d.r.Attempts++
	case queue.FailPending:
		return d.failPending(o.Reply)
	case queue.Note:
		if len(o.Text) > queue.MaxText || len(o.Kind) > 64 {
			return tooLarge("note", queue.MaxText)
		}
		d.note(o.Kind, o.Text)
	case queue.Split:
		return d.split(o.Parts)
	case queue.Finish:
		return d.finish(o)
	default:
		return fmt.Errorf("%w: unknown change %T", queue.ErrInvalid, o)
	}
	return nil
}

func tooLarge(what string, bound int) error {
	return fmt.Errorf("%w: %s beyond %d", queue.ErrTooLarge, what, bound)
}

// clean is t as it will be read back from the store.
func clean(t time.Time) time.Time { return fromNanos(nanos(t)) }

func (d *draft) now() time.Time { return d.t.o.b.now }

// note adds a step to the trail and an event.
func (d *draft) note(kind queue.EventKind, text string) {
	d.step(kind, text)
	d.t.o.event(kind, d.r, "", text)
}

// step adds to the trail alone.
func (d *draft) step(kind queue.EventKind, text string) {
	addStep(d.r, queue.Step{At: d.now(), Kind: kind, Text: text})
}

// telling is note for an event that says more than its text.
func (d *draft) telling(ev queue.Event) {
	d.step(ev.Kind, ev.Text)
	d.t.o.tell(d.r, ev)
}

// addStep keeps the first half of a trail and the newest steps.
func addStep(r *rec, s queue.Step) {
	r.Trail = slices.Clone(r.Trail)
	if len(r.Trail) >= queue.MaxTrail {
		r.Trail = slices.Delete(r.Trail, queue.MaxTrail/2, queue.MaxTrail/2+1+len(r.Trail)-queue.MaxTrail)
	}
	r.Trail = append(r.Trail, s)
}

// move changes the state where spec/queue.md §3 has a transition.
func (d *draft) move(m queue.Move) error {
	if len(m.Stage) > maxName || len(m.Chain) > maxName {
		return tooLarge("stage or chain", maxName)
	}
	legal := false
	kind := queue.EventRequeued
	switch m.To {
	case queue.Unfiltered:
		if m.Stage == "" {
			return fmt.Errorf("%w: a move to unfiltered names a stage", queue.ErrInvalid)
		}
		legal = true
		if d.state == queue.Unfiltered {
			kind = queue.EventFiltered
		}
	case queue.Incoming:
		legal = d.state == queue.Unfiltered || d.state == queue.Deferred || d.state == queue.Active
		if d.state == queue.Unfiltered {
			kind = queue.EventFiltered
		}
	case queue.Deferred:
		legal = d.state == queue.Active || d.state == queue.Incoming
		kind = queue.EventDeferred
	default:
		return fmt.Errorf("%w: nothing moves to %v", queue.ErrInvalid, m.To)
	}
	if !legal {
		return fmt.Errorf("%w: no move from %v to %v", queue.ErrConflict, d.state, m.To)
	}
	if d.state != m.To || d.r.Stage != m.Stage {
		d.r.LostClaims = 0
	}
	d.r.State, d.state = m.To, m.To
	d.r.Stage = ""
	if m.To == queue.Unfiltered {
		d.r.Stage = m.Stage
	}
	if m.Chain != "" {
		d.r.Chain = m.Chain
	}
	d.r.NextAt = clean(m.NextAt)
	d.ended, d.moved = true, true
	text := m.To.String()
	switch {
	case m.Stage != "":
		text += " " + m.Stage
	case m.To == queue.Deferred && !m.NextAt.IsZero():
		text = "until " + m.NextAt.UTC().Format(time.RFC3339)
	}
	if kind == queue.EventDeferred {
		d.step(kind, text)
		d.t.o.deferral(d.r, text)
		return nil
	}
	d.note(kind, text)
	return nil
}

func (d *draft) addVerdict(v queue.Verdict) error {
	if len(v.Reply) > queue.MaxText || len(v.Reason) > queue.MaxText || len(v.Filter) > maxName || len(v.Disposition) > maxName {
		return tooLarge("verdict", queue.MaxText)
	}
	n := 0
	for _, s := range v.Symbols {
		n += len(s)
	}
	if len(v.Symbols) > 1000 || n > queue.MaxMeta {
		return tooLarge("symbols", queue.MaxMeta)
	}
	v.Symbols = slices.Clone(v.Symbols)
	if v.At.IsZero() {
		v.At = d.now()
	}
	v.At = clean(v.At)
	d.r.Verdicts = append(slices.Clone(d.r.Verdicts), v)
	if over := len(d.r.Verdicts) - queue.MaxVerdicts; over > 0 {
		d.r.Verdicts = slices.Delete(d.r.Verdicts, 0, over)
	}
	d.telling(queue.Event{Kind: queue.EventFiltered, Text: v.Filter + " " + v.Disposition, Verdict: eventVerdict(v)})
	return nil
}

func (d *draft) setHold(h queue.Hold) error {
	if len(h.Reason) > queue.MaxText || len(h.By) > queue.MaxText {
		return tooLarge("hold", queue.MaxText)
	}
	if h.Then > queue.HoldBounce {
		return fmt.Errorf("%w: end of a hold %v", queue.ErrInvalid, h.Then)
	}
	if h.Since.IsZero() {
		h.Since = d.now()
	}
	h.Since, h.Until = clean(h.Since), clean(h.Until)
	d.r.Hold = &h
	d.telling(queue.Event{Kind: queue.EventHeld, Text: h.Reason, Hold: &h})
	return nil
}

func (d *draft) setMeta(set map[string]string) error {
	m := maps.Clone(d.r.Meta)
	if m == nil {
		m = map[string]string{}
	}
	for k, v := range set {
		if v == "" {
			delete(m, k)
		} else {
			m[k] = v
		}
	}
	if err := checkMeta(m); err != nil {
		return err
	}
	if len(m) == 0 {
		m = nil
	}
	d.r.Meta = m
	d.t.o.facts = nil
	return nil
}

func checkMeta(m map[string]string) error {
	n := 0
	for k, v := range m {
		n += len(k) + len(v)
	}
	if n > queue.MaxMeta {
		return tooLarge("meta", queue.MaxMeta)
	}
	return nil
}

func (d *draft) failPending(reply string) error {
	if len(reply) > queue.MaxText {
		return tooLarge("reply", queue.MaxText)
	}
	d.ownRecipients()
	for i := range d.r.Envelope.Recipients {
		p := &d.r.Envelope.Recipients[i]
		if p.Status == queue.Pending {
			p.Status, p.LastReply = queue.Failed, reply
			d.t.o.recipient(queue.EventFailed, d.r, p, reply)
		}
	}
	d.r.NextAt = time.Time{}
	d.failed = true
	d.telling(queue.Event{Kind: queue.EventBounced, Text: reply, Summary: true})
	return nil
}

func (d *draft) finish(f queue.Finish) error {
	if len(f.Reply) > queue.MaxText {
		return tooLarge("reply", queue.MaxText)
	}
	if int(f.Disposition) > int(queue.Deleted) {
		return fmt.Errorf("%w: disposition %v", queue.ErrInvalid, f.Disposition)
	}
	staged := d.t.lease != nil && d.t.lease.staged
	switch {
	case f.Disposition == queue.Done && slices.ContainsFunc(d.r.Envelope.Recipients, isPending):
		return fmt.Errorf("%w: done with a pending recipient", queue.ErrInvalid)
	case f.Disposition == queue.Rejected && !staged:
		return fmt.Errorf("%w: rejected after its acceptance", queue.ErrConflict)
	}
	d.r.Outcome = &queue.Outcome{Disposition: f.Disposition, Reply: f.Reply, At: d.now()}
	d.ended = true
	text := f.Disposition.String()
	if f.Reply != "" {
		text += ": " + f.Reply
	}
	d.telling(queue.Event{Kind: queue.EventFinished, Text: strings.ToValidUTF8(text, "?"), Outcome: d.r.Outcome})
	return nil
}

func isPending(p queue.Recipient) bool { return p.Status == queue.Pending }

// settle does what follows from the changes as a whole.
func (d *draft) settle() error {
	if d.r.Outcome != nil {
		return nil
	}
	if d.failed && !d.moved && d.r.State == queue.Unfiltered && d.r.hop() == "" {
		// An operator's bounce: the queue manager reports and finishes it.
		d.r.State, d.state, d.r.Stage = queue.Incoming, queue.Incoming, ""
		d.ended = true
	}
	if d.moved && d.r.State == queue.Incoming || d.added && (d.state == queue.Incoming || d.state == queue.Deferred) {
		return d.splitByHop()
	}
	return nil
}
