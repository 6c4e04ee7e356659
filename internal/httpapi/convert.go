package httpapi

import (
	"mtad/api"
	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/queue"
)

func verdicts(in []queue.Verdict) []filterproto.PastVerdict {
	var out []filterproto.PastVerdict
	for _, v := range in {
		out = append(out, filterproto.PastVerdict(v))
	}
	return out
}

func resultItem(it queue.Item) filterproto.ResultItem {
	r := filterproto.ResultItem{ID: string(it.ID), Stage: it.Stage, Held: it.Hold != nil}
	if it.Outcome != nil {
		r.Outcome = it.Outcome.Disposition.String()
	} else {
		r.State = it.State.String()
	}
	return r
}

// message is an item as operators see it.
func message(it queue.Item) api.Message {
	m := api.Message{
		ID: string(it.ID), Rev: string(it.Rev), Origin: it.Origin.String(), Parent: string(it.Parent),
		Chain: it.Chain, Stage: it.Stage, Priority: int(it.Priority), Created: it.Created, NextAt: it.NextAt,
		Expires: it.Expires, Attempts: it.Attempts, LostClaims: it.LostClaims,
		RecipientCount: it.RecipientCount, Envelope: envelope(it.Envelope), Trace: it.Trace,
		Generations: generations(it.Generations), Verdicts: verdicts(it.Verdicts), Trail: trail(it.Trail), Meta: it.Meta,
	}
	if n := len(it.Generations); n > 0 {
		m.Size, m.Generation = it.Size(), it.Generation().N
	}
	if it.Outcome == nil {
		m.State = it.State.String()
	} else {
		m.Outcome = api.Outcome{Disposition: it.Outcome.Disposition.String(), Reply: it.Outcome.Reply, At: it.Outcome.At}
	}
	if it.Hold != nil {
		m.Hold = holdOf(it)
	}
	if l := it.Lease; l != nil {
		m.Lease = api.Lease{Holder: l.Holder, Since: l.Since, Until: l.Until, Stage: l.Stage}
	}
	return m
}

func messages(items []queue.Item) []api.Message {
	out := make([]api.Message, 0, len(items))
	for _, it := range items {
		out = append(out, message(it))
	}
	return out
}

func envelope(e queue.Envelope) api.Envelope {
	out := api.Envelope{
		ReversePath: e.ReversePath, Smtputf8: e.SMTPUTF8, Body: string(e.Body), Ret: e.Return,
		Envid: e.EnvID, Requiretls: e.RequireTLS, Client: filterproto.ClientInfo(e.Client),
		Recipients: make([]api.Recipient, 0, len(e.Recipients)),
	}
	for _, r := range e.Recipients {
		out.Recipients = append(out.Recipients, api.Recipient{
			Path: r.Path, OrigPath: r.OrigPath, Notify: filter.NotifyWords(r.Notify), Orcpt: r.ORCPT, Transport: r.Transport,
			NextHop: r.NextHop, Status: r.Status.String(), Attempts: r.Attempts, LastAttempt: r.LastAttempt,
			LastRemote: r.LastRemote, LastReply: r.LastReply, DelaySent: r.DelaySent,
		})
	}
	return out
}

func generations(in []queue.Generation) []api.Generation {
	out := make([]api.Generation, 0, len(in))
	for _, g := range in {
		out = append(out, api.Generation{N: g.N, By: g.By, Size: g.Size})
	}
	return out
}

func trail(in []queue.Step) []api.Step {
	var out []api.Step
	for _, s := range in {
		out = append(out, api.Step{At: s.At, Kind: string(s.Kind), Text: s.Text})
	}
	return out
}
