package filter

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"mtad/filterproto"
	"mtad/queue"
)

func forRecipient(path string, v filterproto.Verdict) filterproto.RecipientVerdict {
	return filterproto.RecipientVerdict{Recipients: []string{path}, Verdict: v}
}

// byRecipient says of each recipient what became of it.
func byRecipient(items []queue.Item) map[string]string {
	out := make(map[string]string)
	for _, it := range items {
		s := it.State.String()
		if it.Outcome != nil {
			s = it.Outcome.Disposition.String()
		}
		if it.Hold != nil {
			s += " held"
		}
		for _, r := range it.Envelope.Recipients {
			out[r.Path] = s + " " + r.Status.String()
		}
	}
	return out
}

func checkRecipients(t *testing.T, got map[string]string, want ...string) {
	t.Helper()
	var list []string
	for k, v := range got {
		list = append(list, k+": "+v)
	}
	slices.Sort(list)
	if strings.Join(list, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(list, "\n"), strings.Join(want, "\n"))
	}
}

func TestEachRecipientGetsItsVerdict(t *testing.T) {
	r := newRig(t, oneFilter(Definition{}))
	id := r.commit(plain, "a@x", "b@x", "c@x", "d@x", "e@x")
	v := accept(add("X-All", "1"))
	v.Recipients = []filterproto.RecipientVerdict{
		forRecipient("b@x", verdict(filterproto.Reject)),
		forRecipient("c@x", filterproto.Verdict{Disposition: filterproto.Accept, Quarantine: &filterproto.Quarantine{}}),
		forRecipient("d@x", verdict(filterproto.Discard)),
		forRecipient("e@x", verdict(filterproto.Defer)),
	}
	items := r.judge("f", r.claim("f").Token, v)
	if len(items) != 5 {
		t.Fatalf("%d items", len(items))
	}
	checkRecipients(t, byRecipient(r.outcome(id)),
		"a@x: incoming pending", "b@x: incoming failed", "c@x: incoming held pending", "d@x: discarded pending", "e@x: unfiltered pending")
	for _, it := range r.outcome(id) {
		if it.ID.Message() != id || it.Outcome != nil {
			continue
		}
		edited := strings.Contains(r.content(it.ID), "X-All: 1\r\n")
		if edited != (it.Envelope.Recipients[0].Path == "a@x") {
			t.Errorf("%s: edited %v", it.Envelope.Recipients[0].Path, edited)
		}
	}
}

func TestTheSameVerdictForAllSplitsNothing(t *testing.T) {
	r := newRig(t, oneFilter(Definition{}))
	id := r.commit(plain, "a@x", "b@x")
	v := accept(add("X", "1"))
	v.Recipients = []filterproto.RecipientVerdict{forRecipient("a@x", accept(add("X", "1"))), forRecipient("b@x", accept(add("X", "1")))}
	r.judge("f", r.claim("f").Token, v)
	if items := r.outcome(id); len(items) != 1 {
		t.Errorf("%d items", len(items))
	}
}

func TestARecipientThatTheMessageDoesNotHave(t *testing.T) {
	r := newRig(t, oneFilter(Definition{}))
	r.commit(plain, "a@x")
	v := accept()
	v.Recipients = []filterproto.RecipientVerdict{forRecipient("z@x", accept())}
	_, err := r.e.Judge(context.Background(), "f", r.claim("f").Token, "", v)
	var ve *VerdictError
	if !errors.As(err, &ve) || ve.Code != CodeRecipient || ve.Field != "recipients[0].recipients[0]" {
		t.Error(err)
	}
}

func TestEnvelopeEditsWithinParts(t *testing.T) {
	edit := func(op filterproto.EditOp, v string) filterproto.Edit { return filterproto.Edit{Op: op, Value: v} }
	r := newRig(t, oneFilter(Definition{}))
	id := r.commit(plain, "a@x", "b@x", "c@x")
	v := accept(edit(filterproto.RecipientDelete, "b@x"))
	v.Recipients = []filterproto.RecipientVerdict{
		forRecipient("c@x", accept(edit(filterproto.RecipientDelete, "c@x"), edit(filterproto.RecipientAdd, "archive@x"))),
	}
	r.judge("f", r.claim("f").Token, v)
	checkRecipients(t, byRecipient(r.outcome(id)),
		"a@x: incoming pending", "archive@x: incoming pending", "b@x: incoming removed", "c@x: incoming removed")
}

// SMTP has one reply to the data: it is an acceptance when anybody's verdict is,
// and the rejected recipients get a DSN.
func TestMixedVerdictsOnAWaitingClient(t *testing.T) {
	for _, c := range []struct {
		name  string
		other filterproto.Verdict
		outer filterproto.Verdict
		want  []string
	}{
		{"one rejected", verdict(filterproto.Reject), accept(), []string{"a@x: incoming pending", "b@x: incoming failed"}},
		{"one discarded", verdict(filterproto.Discard), accept(), []string{"a@x: incoming pending", "b@x: discarded pending"}},
		{"the first discarded", accept(), verdict(filterproto.Discard), []string{"a@x: discarded pending", "b@x: incoming pending"}},
		{"the first rejected", accept(), verdict(filterproto.Reject), []string{"a@x: incoming failed", "b@x: incoming pending"}},
		{"one deferred defers all", verdict(filterproto.Defer), accept(), []string{"a@x: rejected pending", "b@x: rejected pending"}},
		{"rejected with two replies", filterproto.Verdict{Disposition: filterproto.Reject, Reply: &filterproto.Reply{Code: 552}}, verdict(filterproto.Reject), []string{"a@x: rejected pending", "b@x: rejected pending"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, oneFilter(Definition{}))
			w := r.stage(plain, "a@x", "b@x")
			v := c.outer
			v.Recipients = []filterproto.RecipientVerdict{forRecipient("b@x", c.other)}
			r.judge("f", r.claim("f").Token, v)
			items, err := w.Wait(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			checkRecipients(t, byRecipient(items), c.want...)
		})
	}
}

// The first filter parted the recipients; what the second one refuses for one
// part cannot be told to the client, whose reply speaks for the other, too.
func TestAPartOfAWaitingMessageIsNeverRefusedAlone(t *testing.T) {
	r := newRig(t, twoFilters())
	w := r.stage(plain, "a@x", "b@x")
	v := accept()
	v.Recipients = []filterproto.RecipientVerdict{forRecipient("b@x", accept(add("X", "1")))}
	r.judge("f", r.claim("f").Token, v)
	claims := r.claims("g")
	if len(claims) != 2 {
		t.Fatalf("%d parts", len(claims))
	}
	for _, c := range claims {
		v := accept()
		if c.Item.Envelope.Recipients[0].Path == "a@x" {
			v = verdict(filterproto.Reject)
		}
		r.judge("g", c.Token, v)
	}
	items, err := w.Wait(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	checkRecipients(t, byRecipient(items), "a@x: incoming failed", "b@x: incoming pending")
}

func TestARescanJudgesPendingRecipientsOnly(t *testing.T) {
	r := newRig(t, oneFilter(Definition{}))
	id := r.commit(plain, "a@x", "b@x")
	r.judge("f", r.claim("f").Token, accept())
	_, err := r.q.Apply(context.Background(), queue.Txn{ID: id, Ops: []queue.Op{
		queue.UpdateRecipients{Updates: []queue.RecipientUpdate{{Index: 0, Status: queue.Relayed}}},
		queue.Move{To: queue.Unfiltered, Stage: r.e.First("c")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	r.judge("f", r.claim("f").Token, verdict(filterproto.Reject))
	checkRecipients(t, byRecipient(r.outcome(id)), "a@x: incoming relayed", "b@x: incoming failed")
}
