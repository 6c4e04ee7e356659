package filter

import (
	"mtad/filterproto"
	"mtad/queue"
)

// Info is an item as filters see it: recipients that are not pending any more are
// not theirs to judge.
func Info(it queue.Item) filterproto.MessageInfo {
	return filterproto.MessageInfo{
		ID: string(it.ID), Origin: it.Origin.String(), Chain: it.Chain, Stage: it.Stage, Staged: it.Staged,
		Created: it.Created, Size: it.Size(), Generation: it.Generation().N, LostClaims: it.LostClaims,
		Envelope: infoEnvelope(it.Envelope), Trace: it.Trace, Verdicts: pastVerdicts(it.Verdicts), Meta: it.Meta,
	}
}

func infoEnvelope(e queue.Envelope) filterproto.Envelope {
	out := filterproto.Envelope{
		ReversePath: e.ReversePath, SMTPUTF8: e.SMTPUTF8, Body: string(e.Body), Return: e.Return,
		EnvID: e.EnvID, RequireTLS: e.RequireTLS, Client: filterproto.ClientInfo(e.Client),
		Recipients: make([]filterproto.Recipient, 0, len(e.Recipients)),
	}
	for _, r := range e.Recipients {
		if r.Status == queue.Pending {
			out.Recipients = append(out.Recipients, filterproto.Recipient{
				Path: r.Path, OrigPath: r.OrigPath, Notify: NotifyWords(r.Notify), ORCPT: r.ORCPT,
				Transport: r.Transport, NextHop: r.NextHop,
			})
		}
	}
	return out
}

// NotifyWords spells the NOTIFY parameter (RFC 3461 §4.1) in lower case.
func NotifyWords(n queue.Notify) []string {
	var out []string
	for _, v := range []struct {
		bit  queue.Notify
		name string
	}{{queue.NotifyNever, "never"}, {queue.NotifySuccess, "success"}, {queue.NotifyFailure, "failure"}, {queue.NotifyDelay, "delay"}} {
		if n&v.bit != 0 {
			out = append(out, v.name)
		}
	}
	return out
}

func pastVerdicts(in []queue.Verdict) []filterproto.PastVerdict {
	var out []filterproto.PastVerdict
	for _, v := range in {
		out = append(out, filterproto.PastVerdict(v))
	}
	return out
}
