package filter

import (
	"context"
	"encoding/json"
	"time"

	"mtad/filterproto"
	"mtad/queue"
)

// Keys of Item.Meta that belong to this package.
const (
	// metaSplit marks the parts of a message that was split while its client
	// waited: one SMTP reply speaks for all of them, so none is refused alone.
	metaSplit = "filter.split"
	// metaQuarantine carries the hold that an earlier filter of a waiting chain
	// asked for; it is set when the chain is through.
	metaQuarantine = "filter.quarantine"
	// metaHeld names the filter that failed on the item and held it.
	metaHeld = "filter.held"
	// metaUnscanned lists filters that were passed by accept-marked.
	metaUnscanned = "filter.unscanned"
)

// planner turns a verdict into ops. It reads the message but changes nothing.
type planner struct {
	e      *Engine
	filter string
	def    Definition
	it     queue.Item
	now    time.Time
	b      builder

	updates []queue.RecipientUpdate // by index in it, before any split
	// marked is the disposition that is remembered, when it is not the verdict's.
	marked string
	meta   map[string]string
}

func (e *Engine) planner(filter string, def Definition, it queue.Item, t queue.Token) *planner {
	return &planner{e: e, filter: filter, def: def, it: it, now: e.now(),
		b: builder{q: e.q, token: t, id: it.ID, size: it.Size(), maxHeader: e.maxHeader}}
}

// ops is the whole change for a verdict that was checked.
func (p *planner) ops(ctx context.Context, v filterproto.Verdict) ([]queue.Op, error) {
	groups, err := groupsOf(p.it, v)
	if err != nil {
		return nil, err
	}
	if p.alone() {
		if ops := p.answer(groups); ops != nil {
			return ops, nil
		}
	}
	var parts []queue.Part
	for _, g := range groups[1:] {
		ops, err := p.group(ctx, g, false)
		if err != nil {
			return nil, err
		}
		parts = append(parts, queue.Part{Recipients: g.index, Ops: p.mark(ops)})
	}
	main, err := p.group(ctx, groups[0], true)
	if err != nil {
		return nil, err
	}
	var ops []queue.Op
	if len(p.updates) > 0 {
		ops = append(ops, queue.UpdateRecipients{Updates: p.updates})
	}
	if len(parts) > 0 {
		ops = append(ops, queue.Split{Parts: parts})
		main = p.mark(main)
	}
	return append(ops, main...), nil
}

// alone reports whether the client waits and its reply speaks for this item and
// no other.
func (p *planner) alone() bool { return p.it.Staged && p.it.Meta[metaSplit] == "" }

// mark says of the parts of a staged message that they share a reply.
func (p *planner) mark(ops []queue.Op) []queue.Op {
	if !p.it.Staged {
		return ops
	}
	return append([]queue.Op{queue.SetMeta{Set: map[string]string{metaSplit: "1"}}}, ops...)
}

// answer finishes a staged message that the client is refused: when one
// recipient is deferred, all are, since SMTP has one reply to the data and nothing
// was committed; when all are rejected, with the first one's reply. Otherwise nil:
// the message is accepted, and the rejected are reported by DSN.
func (p *planner) answer(groups []group) []queue.Op {
	rejected := 0
	for _, g := range groups {
		switch g.verdict.Disposition {
		case filterproto.Defer:
			return p.refuse(g.verdict, replyLine(g.verdict.Reply, defaultDefer))
		case filterproto.Reject:
			rejected++
		}
	}
	if rejected < len(groups) {
		return nil
	}
	return p.refuse(groups[0].verdict, replyLine(groups[0].verdict.Reply, defaultReject))
}

func (p *planner) refuse(v filterproto.Verdict, reply string) []queue.Op {
	return []queue.Op{p.verdict(v, reply), queue.Finish{Disposition: queue.Rejected, Reply: reply}}
}

// group is the change for the recipients of one verdict. main is the item that a
// split leaves.
func (p *planner) group(ctx context.Context, g group, main bool) ([]queue.Op, error) {
	switch v := g.verdict; v.Disposition {
	case filterproto.Accept:
		return p.accept(ctx, g, main)
	case filterproto.Discard:
		return []queue.Op{p.verdict(v, ""), queue.Finish{Disposition: queue.Discarded, Reply: cut(v.Reason)}}, nil
	case filterproto.Reject:
		return p.reject(g), nil
	default:
		return p.wait(v), nil
	}
}

// reject fails the recipients; the queue manager makes the DSN.
func (p *planner) reject(g group) []queue.Op {
	reply := replyLine(g.verdict.Reply, defaultReject)
	for _, i := range g.index {
		p.updates = append(p.updates, queue.RecipientUpdate{Index: i, Status: queue.Failed, Reply: reply})
	}
	return []queue.Op{p.verdict(g.verdict, reply), queue.Move{To: queue.Incoming}}
}

// wait offers the message to the same filter again later. It leaves a note
// instead of a verdict: a filter that defers for days must not push the others'
// verdicts out.
func (p *planner) wait(v filterproto.Verdict) []queue.Op {
	delay := time.Duration(v.RetryAfter) * time.Second
	if delay <= 0 {
		delay = p.def.RetryDelay
	}
	text := p.filter + ": defer: " + replyLine(v.Reply, defaultDefer)
	return []queue.Op{
		queue.Note{Kind: queue.EventFiltered, Text: cut(text)},
		queue.Move{To: queue.Unfiltered, Stage: p.it.Stage, NextAt: p.now.Add(delay)},
	}
}

func (p *planner) accept(ctx context.Context, g group, main bool) ([]queue.Op, error) {
	v := g.verdict
	ops := []queue.Op{p.verdict(v, "")}
	content, changed, err := p.b.content(ctx, p.filter, v.Edits)
	if err != nil {
		return nil, err
	}
	if changed {
		ops = append(ops, content)
	}
	for _, e := range v.Edits {
		if e.Op == filterproto.ReversePathSet {
			ops = append(ops, queue.SetReversePath{Path: e.Value})
		}
	}
	added, left, err := p.recipients(g, main)
	if err != nil {
		return nil, err
	}
	if len(added) > 0 {
		ops = append(ops, queue.AddRecipients{Recipients: added})
	}
	if len(p.meta) > 0 {
		ops = append(ops, queue.SetMeta{Set: p.meta})
	}
	if left == 0 {
		return append(ops, queue.Finish{Disposition: queue.Discarded, Reply: "every recipient removed by filter " + p.filter}), nil
	}
	return append(ops, p.onward(v)...), nil
}

// onward moves an accepted item to its next stage, with the hold it got.
func (p *planner) onward(v filterproto.Verdict) []queue.Op {
	next, ok := p.e.next(p.it.Chain, p.it.Stage)
	if !ok {
		return p.lost()
	}
	move := queue.Move{To: queue.Incoming}
	if at := p.it.SendAt(); at.After(p.now) {
		move.NextAt = at
	}
	if next != "" {
		move = queue.Move{To: queue.Unfiltered, Stage: next}
	}
	hold := p.carried()
	if hold == nil {
		hold = p.quarantine(v.Quarantine)
	}
	var ops []queue.Op
	if p.it.Meta[metaQuarantine] != "" {
		ops = append(ops, queue.SetMeta{Set: map[string]string{metaQuarantine: ""}})
	}
	if hold == nil {
		return append(ops, move)
	}
	// The client would wait in vain for a held message that has filters to pass.
	if p.it.Staged && next != "" {
		text, _ := json.Marshal(hold)
		return []queue.Op{queue.SetMeta{Set: map[string]string{metaQuarantine: string(text)}}, move}
	}
	return append(ops, queue.SetHold{Hold: *hold}, move)
}

// lost keeps a message whose chain is not configured any more.
func (p *planner) lost() []queue.Op {
	if p.alone() {
		return []queue.Op{queue.Finish{Disposition: queue.Rejected, Reply: replyLine(nil, defaultDefer)}}
	}
	return []queue.Op{
		queue.SetHold{Hold: queue.Hold{By: "mtad", Reason: cut("filter chain " + p.it.Chain + " is not configured"), Since: p.now}},
		queue.Move{To: queue.Unfiltered, Stage: p.e.First(p.it.Chain)},
	}
}

// verdict is the record of an answer.
func (p *planner) verdict(v filterproto.Verdict, reply string) queue.Op {
	d := string(v.Disposition)
	if p.marked != "" {
		d = p.marked
	}
	return queue.AddVerdict{Verdict: queue.Verdict{
		Filter: p.filter, Disposition: d, Generation: p.it.Generation().N,
		Score: v.Score, Symbols: v.Symbols, Reply: reply, Reason: v.Reason, At: p.now,
	}}
}

func by(filter string) string { return "filter:" + filter }

// cut bounds a text that the queue keeps.
func cut(s string) string {
	if len(s) > queue.MaxText {
		return s[:queue.MaxText]
	}
	return s
}
