package queuetest

import (
	"fmt"
	"slices"
	"time"

	"mtad/queue"
)

// do makes one change of the copy it.
func (c *change) do(it *item, op queue.Op) error {
	switch op := op.(type) {
	case queue.Move:
		return c.move(it, op)
	case queue.SetContent:
		return c.setContent(it, op)
	case queue.AddRecipients:
		return c.addRecipients(it, op)
	case queue.UpdateRecipients:
		return c.updateRecipients(it, op)
	case queue.SetReversePath:
		it.Envelope.ReversePath = op.Path
		c.event(it, queue.EventChanged, "reverse-path "+op.Path)
	case queue.AddVerdict:
		return c.addVerdict(it, op.Verdict)
	case queue.SetHold:
		return c.setHold(it, op.Hold)
	case queue.ReleaseHold:
		if it.Hold != nil {
			c.event(it, queue.EventReleased, it.Hold.Reason)
			it.Hold, it.LostClaims = nil, 0
		}
	case queue.SetPriority:
		it.Priority = op.Priority
		c.event(it, queue.EventChanged, fmt.Sprintf("priority %d", op.Priority))
	case queue.SetNextAt:
		it.NextAt, it.notBefore = op.At, op.At
		c.event(it, queue.EventChanged, "due")
	case queue.SetMeta:
		return setMeta(it, op.Set)
	case queue.Attempt:
		it.Attempts++
	case queue.FailPending:
		return c.failPending(it, op)
	case queue.Note:
		if len(op.Text) > queue.MaxText {
			return fmt.Errorf("%w: note", queue.ErrTooLarge)
		}
		it.step(c.now, op.Kind, op.Text)
	case queue.Split:
		return c.split(it, op)
	case queue.Finish:
		return c.finish(it, op)
	default:
		return fmt.Errorf("%w: op %T", queue.ErrInvalid, op)
	}
	return nil
}

// event is told when the change is made, and is a step of the trail.
func (c *change) event(it *item, kind queue.EventKind, text string) {
	it.step(c.now, kind, text)
	c.events = append(c.events, queue.Event{At: c.now, Kind: kind, ID: it.ID, State: it.State, Text: text})
}

// moves says from where each state may be entered by a Move.
var moves = map[queue.State][]queue.State{
	queue.Unfiltered: {queue.Unfiltered, queue.Incoming, queue.Active, queue.Deferred},
	queue.Incoming:   {queue.Unfiltered, queue.Active, queue.Deferred},
	queue.Deferred:   {queue.Incoming, queue.Active},
}

func (c *change) move(it *item, op queue.Move) error {
	from := it.State
	switch {
	case op.To == queue.Active || !slices.Contains(queue.States[:], op.To):
		return fmt.Errorf("%w: move to %q", queue.ErrInvalid, op.To)
	case op.To == queue.Unfiltered && op.Stage == "":
		return fmt.Errorf("%w: move to unfiltered without a stage", queue.ErrInvalid)
	case !slices.Contains(moves[op.To], from):
		return fmt.Errorf("%w: move from %s to %s", queue.ErrConflict, from, op.To)
	}
	stage := ""
	if op.To == queue.Unfiltered {
		stage = op.Stage
		if op.Chain != "" {
			it.Chain = op.Chain
		}
	}
	if from != op.To || it.Stage != stage {
		it.LostClaims = 0
	}
	it.State, it.Stage, it.NextAt = op.To, stage, op.NextAt
	it.notBefore = op.NextAt
	c.ended[it] = true
	switch {
	case op.To == queue.Deferred:
		c.event(it, queue.EventDeferred, "")
	case from != queue.Unfiltered:
		c.event(it, queue.EventRequeued, op.To.String())
	}
	return nil
}

func (c *change) addRecipients(it *item, op queue.AddRecipients) error {
	for _, r := range op.Recipients {
		if r.Path == "" {
			return fmt.Errorf("%w: recipient without a path", queue.ErrInvalid)
		}
		same := func(have queue.Recipient) bool { return have.Path == r.Path }
		if !slices.ContainsFunc(it.Envelope.Recipients, same) {
			it.Envelope.Recipients = append(it.Envelope.Recipients, r)
			c.added[it] = true
		}
	}
	if len(it.Envelope.Recipients) > queue.MaxRecipients {
		return fmt.Errorf("%w: recipients", queue.ErrTooLarge)
	}
	c.event(it, queue.EventChanged, "recipients")
	return nil
}

func (c *change) updateRecipients(it *item, op queue.UpdateRecipients) error {
	for _, u := range op.Updates {
		switch {
		case u.Index < 0 || u.Index >= len(it.Envelope.Recipients):
			return fmt.Errorf("%w: no recipient %d", queue.ErrInvalid, u.Index)
		case u.Status > queue.Removed:
			return fmt.Errorf("%w: recipient status %d", queue.ErrInvalid, u.Status)
		case len(u.Reply) > queue.MaxText:
			return fmt.Errorf("%w: reply of %d octets", queue.ErrTooLarge, len(u.Reply))
		}
		r := &it.Envelope.Recipients[u.Index]
		if kind, ok := fate[u.Status]; ok && (u.Status != r.Status || u.Attempted) {
			c.events = append(c.events, queue.Event{
				At: c.now, Kind: kind, ID: it.ID, State: it.State, Recipient: r.Path, Text: u.Reply,
			})
		}
		c.updateRecipient(r, u)
	}
	return nil
}

// fate is the event that tells of a status.
var fate = map[queue.RecipientStatus]queue.EventKind{
	queue.Pending:   queue.EventDeferred,
	queue.Delivered: queue.EventDelivered,
	queue.Relayed:   queue.EventDelivered,
	queue.Failed:    queue.EventFailed,
}

func (c *change) updateRecipient(r *queue.Recipient, u queue.RecipientUpdate) {
	r.Status = u.Status
	if u.Attempted {
		r.Attempts++
		r.LastAttempt = c.now
	}
	replace(&r.LastReply, u.Reply)
	replace(&r.LastRemote, u.Remote)
	replace(&r.Transport, u.Transport)
	replace(&r.NextHop, u.NextHop)
	r.DelaySent = r.DelaySent || u.DelaySent
	r.Reported = r.Reported || u.Reported
	r.Reported = r.Reported || u.Reported
}

func replace(dst *string, v string) {
	if v != "" {
		*dst = v
	}
}

func (c *change) addVerdict(it *item, v queue.Verdict) error {
	if len(v.Reply) > queue.MaxText || len(v.Reason) > queue.MaxText {
		return fmt.Errorf("%w: verdict", queue.ErrTooLarge)
	}
	if v.At.IsZero() {
		v.At = c.now
	}
	v.Symbols = slices.Clone(v.Symbols)
	it.Verdicts = append(it.Verdicts, v)
	if n := len(it.Verdicts) - queue.MaxVerdicts; n > 0 {
		it.Verdicts = it.Verdicts[n:]
	}
	c.event(it, queue.EventFiltered, v.Filter+" "+v.Disposition)
	return nil
}

func (c *change) setHold(it *item, h queue.Hold) error {
	if len(h.Reason) > queue.MaxText {
		return fmt.Errorf("%w: hold reason", queue.ErrTooLarge)
	}
	if h.Then > queue.HoldBounce {
		return fmt.Errorf("%w: end of a hold", queue.ErrInvalid)
	}
	if h.Since.IsZero() {
		h.Since = c.now
	}
	it.Hold = &h
	c.event(it, queue.EventHeld, h.Reason)
	return nil
}

func setMeta(it *item, set map[string]string) error {
	if it.Meta == nil {
		it.Meta = map[string]string{}
	}
	for k, v := range set {
		it.Meta[k] = v
		if v == "" {
			delete(it.Meta, k)
		}
	}
	if metaSize(it.Meta) > queue.MaxMeta {
		return fmt.Errorf("%w: meta", queue.ErrTooLarge)
	}
	return nil
}

func (c *change) failPending(it *item, op queue.FailPending) error {
	if len(op.Reply) > queue.MaxText {
		return fmt.Errorf("%w: reply of %d octets", queue.ErrTooLarge, len(op.Reply))
	}
	for i := range it.Envelope.Recipients {
		if r := &it.Envelope.Recipients[i]; r.Status == queue.Pending {
			r.Status = queue.Failed
			replace(&r.LastReply, op.Reply)
		}
	}
	it.NextAt, it.notBefore = time.Time{}, time.Time{}
	c.failed[it] = true
	c.event(it, queue.EventBounced, op.Reply)
	return nil
}

func (c *change) split(it *item, op queue.Split) error {
	if it != c.items[0] {
		return fmt.Errorf("%w: split of a part", queue.ErrInvalid)
	}
	taken := map[int]bool{}
	for _, p := range op.Parts {
		for _, i := range p.Recipients {
			if i < 0 || i >= len(it.Envelope.Recipients) || taken[i] {
				return fmt.Errorf("%w: split by recipient %d", queue.ErrInvalid, i)
			}
			taken[i] = true
		}
		if len(p.Recipients) == 0 {
			return fmt.Errorf("%w: part without a recipient", queue.ErrInvalid)
		}
	}
	if len(taken) == len(it.Envelope.Recipients) {
		return fmt.Errorf("%w: split leaves nothing", queue.ErrInvalid)
	}
	all := it.Envelope.Recipients
	it.Envelope.Recipients = nil
	for i, r := range all {
		if !taken[i] {
			it.Envelope.Recipients = append(it.Envelope.Recipients, r)
		}
	}
	for _, p := range op.Parts {
		if err := c.splitPart(it, all, p); err != nil {
			return err
		}
	}
	return nil
}

func (c *change) splitPart(it *item, all []queue.Recipient, p queue.Part) error {
	var recipients []queue.Recipient
	for _, i := range p.Recipients {
		recipients = append(recipients, all[i])
	}
	part, err := c.part(it, recipients)
	if err != nil {
		return err
	}
	c.items = append(c.items, part)
	return c.all(part, p.Ops)
}

func (c *change) finish(it *item, op queue.Finish) error {
	pending := func(r queue.Recipient) bool { return r.Status == queue.Pending }
	switch {
	case op.Disposition > queue.Deleted:
		return fmt.Errorf("%w: disposition %d", queue.ErrInvalid, op.Disposition)
	case len(op.Reply) > queue.MaxText:
		return fmt.Errorf("%w: reply of %d octets", queue.ErrTooLarge, len(op.Reply))
	case op.Disposition == queue.Done && slices.ContainsFunc(it.Envelope.Recipients, pending):
		return fmt.Errorf("%w: done with a pending recipient", queue.ErrInvalid)
	case op.Disposition == queue.Rejected && !c.msg.staged:
		return fmt.Errorf("%w: rejected after its acceptance", queue.ErrConflict)
	}
	it.Outcome = &queue.Outcome{Disposition: op.Disposition, Reply: op.Reply, At: c.now}
	c.ended[it] = true
	c.event(it, queue.EventFinished, op.Disposition.String())
	return nil
}
