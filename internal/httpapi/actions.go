package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"mtad/api"
	"mtad/filterproto"
	"mtad/queue"
)

// What is written when an operator gives no reason.
const (
	defaultHold   = "operator"
	defaultBounce = "550 5.0.0 returned by the operator"
)

// ActOnMessage changes one message. Without a revision named it acts on whatever
// the message is when it is read, again if that changed meanwhile.
func (h handlers) ActOnMessage(ctx context.Context, req api.ActOnMessageRequestObject) (api.ActOnMessageResponseObject, error) {
	id, err := parseID(req.ID)
	if err != nil {
		return nil, err
	}
	b := *req.Body
	if err := checkAction(b.Action, &b.Reason, b.Until, h.now()); err != nil {
		return nil, err
	}
	if len(b.Chain) > maxChainName || b.Chain != "" && (!b.Filter || b.Action != api.ActionKindRequeue) {
		return nil, failField(filterproto.CodeInvalidRequest, "chain", "only with requeue and filter")
	}
	if b.Filter && b.Action != api.ActionKindRequeue {
		return nil, failField(filterproto.CodeInvalidRequest, "filter", "only with requeue")
	}
	redirect, err := h.redirection(b.Action, b.To)
	if err != nil {
		return nil, err
	}
	var items []queue.Item
	for range actionTries {
		items, err = h.act(ctx, id, b, redirect)
		if b.Rev != "" || !errors.Is(err, queue.ErrConflict) {
			break
		}
	}
	if err != nil {
		return nil, h.whyNot(ctx, id, b.Force, err)
	}
	h.log.LogAttrs(ctx, slog.LevelInfo, "changed by an operator", slog.String("queue_id", string(id)),
		slog.String("action", string(b.Action)), slog.String("by", callerOf(ctx).by()), slog.String("reason", b.Reason))
	return api.ActOnMessage200JSONResponse{Messages: messages(items)}, nil
}

const actionTries = 3

func (h handlers) act(ctx context.Context, id queue.ID, b api.ActionRequest, redirect *queue.Redirect) ([]queue.Item, error) {
	it, err := h.queue.Get(ctx, id)
	if err == nil {
		err = inQuarantine(it, b)
	}
	if err != nil {
		return nil, err
	}
	var ops []queue.Op
	if redirect != nil {
		ops, err = redirect.Ops(&it, callerOf(ctx).by())
	} else {
		ops, err = h.opsOf(it, b, callerOf(ctx).by())
	}
	if err != nil {
		return nil, err
	}
	rev := it.Rev
	if b.Rev != "" {
		rev = queue.Rev(b.Rev)
	}
	return h.queue.Apply(ctx, queue.Txn{ID: id, Rev: rev, Force: b.Force, By: callerOf(ctx).by(), Ops: ops})
}

// opsOf is what an action means for an item.
func (h handlers) opsOf(it queue.Item, b api.ActionRequest, by string) ([]queue.Op, error) {
	switch b.Action {
	case api.ActionKindHold:
		return []queue.Op{queue.SetHold{Hold: queue.Hold{By: by, Reason: b.Reason, Since: h.now(), Until: b.Until}}}, nil
	case api.ActionKindRelease:
		if it.Hold == nil {
			return nil, fail(filterproto.CodeConflict, "the message is not held")
		}
		return []queue.Op{queue.ReleaseHold{}}, nil
	case api.ActionKindDelete:
		return []queue.Op{queue.Finish{Disposition: queue.Deleted, Reply: "deleted by " + by}}, nil
	case api.ActionKindBounce:
		return append(released(it), queue.FailPending{Reply: b.Reason}), nil
	case api.ActionKindFlush:
		return []queue.Op{queue.SetNextAt{}}, nil
	}
	return h.requeue(it, b)
}

// requeue sends a message through its chain again, or past it.
func (h handlers) requeue(it queue.Item, b api.ActionRequest) ([]queue.Op, error) {
	ops := released(it)
	if b.Filter {
		chain := it.Chain
		if b.Chain != "" {
			chain = b.Chain
		}
		stage, known := h.filters.FirstStages()[chain]
		if b.Chain != "" && !known {
			return nil, failField(filterproto.CodeInvalidRequest, "chain", "no such chain")
		}
		if stage != "" {
			return append(ops, queue.Move{To: queue.Unfiltered, Stage: stage, Chain: chain}), nil
		}
		return nil, fail(filterproto.CodeConflict, "the message has no filter chain")
	}
	if it.State == queue.Incoming {
		return append(ops, queue.SetNextAt{}), nil
	}
	return append(ops, queue.Move{To: queue.Incoming}), nil
}

func released(it queue.Item) []queue.Op {
	if it.Hold == nil {
		return nil
	}
	return []queue.Op{queue.ReleaseHold{}}
}

// checkAction checks what actions on one message and on many have in common, and
// fills in the reason.
func checkAction(kind api.ActionKind, reason *string, until, now time.Time) error {
	bad := func(field, what string) error { return failField(filterproto.CodeInvalidRequest, field, what) }
	if !kind.Valid() {
		return bad("action", "want hold, release, requeue, delete, bounce, flush or redirect")
	}
	if len(*reason) > queue.MaxText || !utf8.ValidString(*reason) || strings.ContainsFunc(*reason, control) {
		return bad("reason", fmt.Sprintf("want one line of at most %d octets", queue.MaxText))
	}
	if !until.IsZero() && (kind != api.ActionKindHold || !until.After(now)) {
		return bad("until", "want a time to come, with hold only")
	}
	switch {
	case kind == api.ActionKindHold && *reason == "":
		*reason = defaultHold
	case kind == api.ActionKindBounce && *reason == "":
		*reason = defaultBounce
	case kind == api.ActionKindBounce:
		return bounceReply(reason)
	}
	return nil
}

func control(r rune) bool { return r < 32 || r == 127 }

var replyForm = regexp.MustCompile(`^5[0-5][0-9]( 5\.[0-9]{1,3}\.[0-9]{1,3})?( |$)`)

// bounceReply makes a permanent reply of a reason: one that begins with a code has
// to begin with a good one (RFC 5321 §4.2, RFC 3463); plain words get the code.
func bounceReply(reason *string) error {
	if c := (*reason)[0]; '0' <= c && c <= '9' {
		if !replyForm.MatchString(*reason) {
			return failField(filterproto.CodeInvalidRequest, "reason", "a bounce's reply begins with a 5yz code, or is plain text")
		}
		return nil
	}
	*reason = "550 5.0.0 " + *reason
	if len(*reason) > queue.MaxText {
		*reason = strings.ToValidUTF8((*reason)[:queue.MaxText], "")
	}
	return nil
}

// whyNot tells a message somebody works on from other conflicts.
func (h handlers) whyNot(ctx context.Context, id queue.ID, force bool, err error) error {
	if errors.Is(err, queue.ErrConflict) && !force {
		if it, e := h.queue.Get(ctx, id); e == nil && it.Lease != nil {
			err = fail(filterproto.CodeLeased, "leased by "+it.Lease.Holder+"; force breaks the lease")
		}
	}
	return about(id, err)
}
