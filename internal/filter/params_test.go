package filter

import (
	"testing"

	"mtad/filterproto"
	"mtad/queue"
)

func TestAddedRecipientHasItsParameters(t *testing.T) {
	r := newRig(t, oneFilter(Definition{}))
	id := r.commit(plain)
	r.judge("f", r.claim("f").Token, accept(filterproto.Edit{Op: filterproto.RecipientAdd, Value: "c@example.net", Params: "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a+2Bb@example.net"}))
	for _, it := range r.outcome(id) {
		for _, rc := range it.Envelope.Recipients {
			if rc.Path == "c@example.net" && rc.Notify == queue.NotifySuccess|queue.NotifyFailure && rc.ORCPT == "rfc822;a+b@example.net" {
				return
			}
		}
	}
	t.Errorf("got %+v", r.outcome(id))
}

func TestParametersThatRCPTWouldRefuseAreRefused(t *testing.T) {
	for _, e := range []filterproto.Edit{
		{Op: filterproto.RecipientAdd, Value: "c@example.net", Params: "NOTIFY=SOMETIMES"},
		{Op: filterproto.RecipientAdd, Value: "c@example.net", Params: "SIZE=1"},
		{Op: filterproto.RecipientAdd, Value: "c@example.net", Params: "NOTIFY=NEVER\r\nDATA"},
		{Op: filterproto.RecipientDelete, Value: "c@example.net", Params: "NOTIFY=NEVER"},
		{Op: filterproto.HeaderDelete, Name: "X", Exact: true},
		{Op: filterproto.RecipientAdd, Value: "c@example.net", Exact: true},
	} {
		if Validate(accept(e)) == nil {
			t.Errorf("taken: %+v", e)
		}
	}
}

func TestExactValueStandsDirectlyBehindTheColon(t *testing.T) {
	r := newRig(t, oneFilter(Definition{}))
	id := r.commit("A: 1\r\n\r\n")
	r.judge("f", r.claim("f").Token, accept(
		filterproto.Edit{Op: filterproto.HeaderAdd, Name: "B", Value: "2", Exact: true},
		filterproto.Edit{Op: filterproto.HeaderInsert, Name: "C", Value: " 3", Exact: true},
		filterproto.Edit{Op: filterproto.HeaderChange, Name: "A", Value: "", Index: 1, Exact: true}))
	if got := r.content(id); got != "C: 3\r\nA:\r\nB:2\r\n\r\n" {
		t.Errorf("got %q", got)
	}
}
