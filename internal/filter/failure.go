package filter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"mtad/filterproto"
	"mtad/queue"
)

// MarkField is the header field that accept-marked adds: filter and class.
const MarkField = "X-Mtad-Unscanned"

// stagedRetry is how soon a message whose client waits is tried again.
const stagedRetry = time.Second

// sizeRest is how many times longer a message rests that is too large.
const sizeRest = 20

// fail does what the configuration says about a failure on a claimed item. When
// even that fails, the lease is left to run out: the item stays where it is.
func (e *Engine) fail(ctx context.Context, filter string, def Definition, c queue.Claim, class Class, cause error) {
	action := def.effective(class, c.Item)
	e.count(filter, class, action, cause)
	attrs := []slog.Attr{
		slog.String("queue_id", string(c.Item.ID)), slog.String("filter", filter),
		slog.String("class", string(class)), slog.String("action", string(action)),
	}
	if cause != nil {
		attrs = append(attrs, slog.String("cause", cause.Error()))
	}
	e.log.LogAttrs(ctx, slog.LevelWarn, "filter failed", attrs...)
	if err := e.act(ctx, filter, def, c, class, action); err != nil {
		e.log.LogAttrs(ctx, slog.LevelError, "failure rule not carried out", append(attrs, slog.String("error", err.Error()))...)
	}
	e.leases.drop(c.Token)
}

// count remembers a failure for metrics and Status.
func (e *Engine) count(filter string, class Class, action Action, cause error) {
	e.metrics.failures.WithLabelValues(filter, string(class), string(action)).Inc()
	text := string(class)
	if cause != nil {
		text = cause.Error()
	}
	e.with(filter, func(s *state) {
		s.failures[string(class)]++
		s.lastError, s.lastErrorAt = cut(text), e.now()
	})
}

// parked counts a lease that was lost, where the rule is that the message waits on.
// Any other rule is counted when it is carried out.
func (e *Engine) parked(filter string, def Definition, it queue.Item, how string) {
	if def.effective(Timeout, it) == Park {
		e.count(filter, Timeout, Park, fmt.Errorf("%s: %s: %s", Timeout, it.ID, how))
	}
}

func (e *Engine) act(ctx context.Context, filter string, def Definition, c queue.Claim, class Class, action Action) error {
	if action == Park {
		delay := def.RetryDelay
		if class == OverSize {
			delay *= sizeRest // it will not shrink; only another configuration helps
		}
		if c.Item.Staged {
			delay = min(delay, stagedRetry)
		}
		// A message that breaks its filter each time must become poison in the end.
		return e.q.Release(ctx, c.Token, delay, class == Crash || class == Timeout)
	}
	j := judgement{e: e, filter: filter, def: def, token: c.Token, nonce: nonceOf(c.Token, "failure"), item: c.Item}
	if action == Quarantine {
		return j.hold(ctx, class)
	}
	j.verdict = failVerdict(filter, class, action)
	if action == AcceptMarked {
		j.marked, j.meta = string(AcceptMarked), unscanned(c.Item, filter)
	}
	_, err := j.run2(ctx)
	var large *VerdictError
	if errors.As(err, &large) && action == AcceptMarked {
		// A header section too large for the mark still has it in the verdict and Meta.
		j.verdict.Edits = nil
		_, err = j.run2(ctx)
	}
	return err
}

// run2 is run for a claim that leases does not know.
func (j *judgement) run2(ctx context.Context) ([]queue.Item, error) {
	items, err := j.apply(ctx)
	if errors.Is(err, queue.ErrConflict) && j.item.Staged {
		j.item.Staged = false
		items, err = j.apply(ctx)
	}
	return items, err
}

// failVerdict is the verdict that an action comes to.
func failVerdict(filter string, class Class, action Action) filterproto.Verdict {
	v := filterproto.Verdict{Reason: "filter " + filter + " failed: " + string(class)}
	switch action {
	case AcceptMarked:
		v.Disposition = filterproto.Accept
		v.Edits = []filterproto.Edit{{Op: filterproto.HeaderAdd, Name: MarkField, Value: filter + "; " + string(class)}}
	case Reject:
		v.Disposition = filterproto.Reject
		v.Reply = &failReject
		if class == OverSize {
			v.Reply = &sizeReject
		}
	default:
		v.Disposition = filterproto.Defer
	}
	return v
}

// unscanned is the Meta of an item that passes a filter marked.
func unscanned(it queue.Item, filter string) map[string]string {
	list := it.Meta[metaUnscanned]
	if list != "" {
		list += ","
	}
	return map[string]string{metaUnscanned: list + filter}
}

// hold quarantines an item that its filter could not judge. It stays at its
// stage, to be filtered when it is released. A client that waits gets a positive
// reply: the hold ends the wait (queue.Writer.Wait).
func (j *judgement) hold(ctx context.Context, class Class) error {
	reason := "filter " + j.filter + " failed: " + string(class)
	_, err := j.e.q.Apply(ctx, queue.Txn{Token: j.token, Nonce: j.nonce, By: by(j.filter), Ops: []queue.Op{
		queue.Note{Kind: queue.EventFiltered, Text: reason},
		queue.SetMeta{Set: map[string]string{metaHeld: j.filter}},
		queue.SetHold{Hold: *j.def.Retention.hold(j.filter, reason, j.e.now())},
		queue.Move{To: queue.Unfiltered, Stage: j.item.Stage},
	}})
	return err
}
