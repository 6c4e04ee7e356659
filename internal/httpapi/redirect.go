package httpapi

import (
	"mtad/api"
	"mtad/filterproto"
	"mtad/internal/smtp"
	"mtad/queue"
)

// redirection is where an action sends messages; nil for any other action. Who
// hears of a failure is the postmaster here, not the sender of the message: it did
// not write to that recipient.
func (h handlers) redirection(kind api.ActionKind, to string) (*queue.Redirect, error) {
	bad := func(what string) error { return failField(filterproto.CodeInvalidRequest, "to", what) }
	switch {
	case kind != api.ActionKindRedirect && to != "":
		return nil, bad("only with redirect")
	case kind != api.ActionKindRedirect:
		return nil, nil
	case to == "":
		return nil, bad("is required")
	}
	p, err := smtp.ParseMailbox(to)
	if err != nil || p.Null() || p.Domain == "" {
		return nil, bad("want one address, as ann@example.org")
	}
	r := &queue.Redirect{To: queue.Recipient{Path: p.String()}, ReversePath: h.postmaster}
	if h.route != nil {
		if r.To.Transport, r.To.NextHop, err = h.route(r.To.Path); err != nil {
			return nil, bad("no mail can be sent there")
		}
	}
	return r, nil
}

// inQuarantine refuses what no filter holds, where that was asked for.
func inQuarantine(it queue.Item, b api.ActionRequest) error {
	if b.Quarantined && it.Hold.Quarantine() == "" {
		return fail(filterproto.CodeConflict, "the message is not in quarantine")
	}
	return nil
}

// holdOf is a hold as people see it: with the filter and the score of the verdict
// that asked for it.
func holdOf(it queue.Item) api.Hold {
	h := it.Hold
	out := api.Hold{By: h.By, Reason: h.Reason, Since: h.Since, Until: h.Until, Filter: h.Quarantine()}
	if !h.Until.IsZero() {
		out.Then = api.HoldThen(h.Then.String())
	}
	for _, v := range it.Verdicts {
		if out.Filter != "" && v.Filter == out.Filter && v.At.Equal(h.Since) {
			out.Score, out.Symbols = v.Score, v.Symbols
		}
	}
	return out
}
