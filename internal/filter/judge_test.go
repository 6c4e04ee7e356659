package filter

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"mtad/filterproto"
	"mtad/queue"
)

func TestAcceptGoesThroughTheChainInOrder(t *testing.T) {
	r := newRig(t, twoFilters())
	id := r.commit(plain)
	if got := r.claims("g"); len(got) != 0 {
		t.Fatal("the second filter got the message first")
	}
	items := r.judge("f", r.claim("f").Token, accept(add("X-F", "1")))
	if len(items) != 1 || items[0].State != queue.Unfiltered || items[0].Stage != "g" {
		t.Fatalf("after f: %+v", items)
	}
	r.judge("g", r.claim("g").Token, accept(add("X-G", "2")))
	it := r.get(id)
	if it.State != queue.Incoming || it.Hold != nil {
		t.Fatalf("after g: %s, hold %v", it.State, it.Hold)
	}
	if got, want := r.content(id), "From: a@example.org\r\nSubject: one\r\nX-F: 1\r\nX-G: 2\r\n\r\nbody\r\n"; got != want {
		t.Errorf("content %q, want %q", got, want)
	}
	if len(it.Verdicts) != 2 || it.Verdicts[0].Filter != "f" || it.Verdicts[1].Generation != 1 {
		t.Errorf("verdicts %+v", it.Verdicts)
	}
	if it.Generations[1].By != "f" || it.Generations[2].By != "g" {
		t.Errorf("generations %+v", it.Generations)
	}
}

func TestRejectAfterTheQueueFailsTheRecipients(t *testing.T) {
	r := newRig(t, oneFilter(Definition{}))
	id := r.commit(plain, "b@example.net", "c@example.com")
	v := filterproto.Verdict{Disposition: filterproto.Reject, Reply: &filterproto.Reply{Code: 554, Enhanced: "5.7.9", Text: "sp\u00e4m"}, Edits: []filterproto.Edit{add("X", "y")}}
	r.judge("f", r.claim("f").Token, v)
	it := r.get(id)
	if it.State != queue.Incoming || len(it.Generations) != 1 {
		t.Fatalf("%s, %d generations", it.State, len(it.Generations))
	}
	for _, rcpt := range it.Envelope.Recipients {
		if rcpt.Status != queue.Failed || rcpt.LastReply != "554 5.7.9 sp?m" {
			t.Errorf("%+v", rcpt)
		}
	}
}

func TestVerdictOnAWaitingClient(t *testing.T) {
	tests := []struct {
		name    string
		v       filterproto.Verdict
		outcome *queue.Outcome
		held    bool
	}{
		{"accept", accept(), nil, false},
		{"reject", verdict(filterproto.Reject), &queue.Outcome{Disposition: queue.Rejected, Reply: "550 5.7.1 message refused by content policy"}, false},
		{"defer", verdict(filterproto.Defer), &queue.Outcome{Disposition: queue.Rejected, Reply: "451 4.7.1 message cannot be checked now, try again later"}, false},
		{"discard", verdict(filterproto.Discard), &queue.Outcome{Disposition: queue.Discarded}, false},
		{"quarantine", filterproto.Verdict{Disposition: filterproto.Accept, Quarantine: &filterproto.Quarantine{Reason: "virus"}}, nil, true},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, oneFilter(Definition{}))
			w := r.stage(plain)
			r.judge("f", r.claim("f").Token, c.v)
			items, err := w.Wait(context.Background())
			if err != nil || len(items) != 1 {
				t.Fatalf("%v, %v", items, err)
			}
			it := items[0]
			if (it.Outcome == nil) != (c.outcome == nil) {
				t.Fatalf("outcome %+v, want %+v", it.Outcome, c.outcome)
			}
			if o := it.Outcome; o != nil && (o.Disposition != c.outcome.Disposition || o.Reply != c.outcome.Reply) {
				t.Errorf("outcome %+v, want %+v", o, c.outcome)
			}
			if (it.Hold != nil) != c.held {
				t.Errorf("hold %+v", it.Hold)
			}
		})
	}
}

// The client left, mtad committed, and only then the verdict comes: nobody would
// hear of a rejection now, so it becomes a DSN.
func TestRejectThatComesAfterTheCommitIsReported(t *testing.T) {
	for _, d := range []filterproto.Disposition{filterproto.Reject, filterproto.Defer} {
		t.Run(string(d), func(t *testing.T) {
			r := newRig(t, oneFilter(Definition{}))
			w := r.stage(plain)
			c := r.claim("f")
			it, err := w.Commit(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			r.judge("f", c.Token, verdict(d))
			it = r.get(it.ID)
			if d == filterproto.Reject && (it.State != queue.Incoming || it.Envelope.Recipients[0].Status != queue.Failed) {
				t.Errorf("%s, %+v", it.State, it.Envelope.Recipients)
			}
			if d == filterproto.Defer && it.State != queue.Unfiltered {
				t.Errorf("%s", it.State)
			}
		})
	}
}

func TestQuarantineHoldsAndTheChainGoesOnWhenReleased(t *testing.T) {
	r := newRig(t, twoFilters())
	id := r.commit(plain)
	r.judge("f", r.claim("f").Token, filterproto.Verdict{Disposition: filterproto.Accept, Quarantine: &filterproto.Quarantine{Seconds: 60}})
	it := r.get(id)
	if it.Hold == nil || it.Hold.By != "filter:f" || it.Hold.Reason != "quarantine" || !it.Hold.Until.Equal(r.clock.Now().Add(time.Minute)) {
		t.Fatalf("hold %+v", it.Hold)
	}
	if len(r.claims("g")) != 0 {
		t.Fatal("a held message was claimed")
	}
	r.clock.Advance(time.Minute)
	r.judge("g", r.claim("g").Token, accept())
	if it := r.get(id); it.State != queue.Incoming || it.Hold != nil {
		t.Errorf("%s, hold %+v", it.State, it.Hold)
	}
}

func TestQuarantineOfAWaitingClientIsSetWhenTheChainIsThrough(t *testing.T) {
	r := newRig(t, twoFilters())
	w := r.stage(plain)
	r.judge("f", r.claim("f").Token, filterproto.Verdict{Disposition: filterproto.Accept, Quarantine: &filterproto.Quarantine{Reason: "odd"}})
	r.judge("g", r.claim("g").Token, accept())
	items, err := w.Wait(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if h := items[0].Hold; h == nil || h.By != "filter:f" || h.Reason != "odd" {
		t.Errorf("hold %+v", h)
	}
	if _, ok := items[0].Meta[metaQuarantine]; ok {
		t.Error("the mark is still there")
	}
}

func TestDeferOffersTheMessageAgainLater(t *testing.T) {
	r := newRig(t, oneFilter(Definition{}))
	id := r.commit(plain)
	r.judge("f", r.claim("f").Token, filterproto.Verdict{Disposition: filterproto.Defer, RetryAfter: 90})
	if len(r.claims("f")) != 0 {
		t.Fatal("offered at once")
	}
	r.clock.Advance(89 * time.Second)
	if len(r.claims("f")) != 0 {
		t.Fatal("offered too early")
	}
	r.clock.Advance(time.Second)
	if c := r.claim("f"); c.Item.ID != id || len(c.Item.Verdicts) != 0 {
		t.Fatalf("%+v", c.Item)
	}
}

func TestDiscardLeavesARecordAlone(t *testing.T) {
	r := newRig(t, oneFilter(Definition{}))
	id := r.commit(plain)
	r.judge("f", r.claim("f").Token, filterproto.Verdict{Disposition: filterproto.Discard, Reason: "junk"})
	if _, err := r.q.Get(context.Background(), id); !errors.Is(err, queue.ErrNotFound) {
		t.Fatalf("still there: %v", err)
	}
	if o := r.outcome(id)[0].Outcome; o == nil || o.Disposition != queue.Discarded || o.Reply != "junk" {
		t.Errorf("%+v", o)
	}
}

func TestARepeatedVerdictAnswersTheSame(t *testing.T) {
	for _, v := range []filterproto.Verdict{
		accept(add("X", "y")), verdict(filterproto.Reject), verdict(filterproto.Discard), verdict(filterproto.Defer),
		{Disposition: filterproto.Accept, Recipients: []filterproto.RecipientVerdict{{Recipients: []string{"c@example.com"}, Verdict: verdict(filterproto.Discard)}}},
	} {
		t.Run(string(v.Disposition), func(t *testing.T) {
			r := newRig(t, oneFilter(Definition{}))
			r.commit(plain, "b@example.net", "c@example.com")
			c := r.claim("f")
			first := r.judge("f", c.Token, v)
			again := r.judge("f", c.Token, v)
			if len(first) != len(again) || first[0].ID != again[0].ID || first[0].Rev != again[0].Rev {
				t.Errorf("first %+v\nthen  %+v", first, again)
			}
			if _, err := r.e.Judge(context.Background(), "f", c.Token, "another", v); !errors.Is(err, queue.ErrLeaseLost) {
				t.Errorf("another nonce on a lease that ended: %v", err)
			}
		})
	}
}

func TestAVerdictWithoutTheLeaseIsRefused(t *testing.T) {
	r := newRig(t, twoFilters())
	id := r.commit(plain)
	c := r.claim("f")
	for name, call := range map[string]func() error{
		"forged":         func() error { _, err := r.e.Judge(context.Background(), "f", "forged", "", accept()); return err },
		"other filter's": func() error { _, err := r.e.Judge(context.Background(), "g", c.Token, "", accept()); return err },
		"ended": func() error {
			r.clock.Advance(2 * time.Minute)
			_, err := r.e.Judge(context.Background(), "f", c.Token, "", accept())
			return err
		},
	} {
		if err := call(); !errors.Is(err, queue.ErrLeaseLost) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if it := r.get(id); it.State != queue.Unfiltered || len(it.Verdicts) != 0 {
		t.Errorf("%+v", it)
	}
}

func TestAClaimOfAnotherEngineCanBeJudged(t *testing.T) {
	r := newRig(t, twoFilters())
	id := r.commit(plain)
	c := r.claim("f")
	o := twoFilters()
	o.Queue, o.Now = r.q, r.clock.Now
	other, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Judge(context.Background(), "g", c.Token, "", accept()); !errors.Is(err, queue.ErrLeaseLost) {
		t.Fatalf("by another filter: %v", err)
	}
	if _, err := other.Judge(context.Background(), "f", c.Token, "", accept(add("X", "y"))); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(r.content(id), "X: y\r\n") {
		t.Error("edit is missing")
	}
	if _, err := other.Judge(context.Background(), "f", c.Token, "", accept(add("X", "y"))); err != nil {
		t.Fatalf("repeated: %v", err)
	}
}

func TestARefusedVerdictChangesNothing(t *testing.T) {
	r := newRig(t, oneFilter(Definition{}))
	id := r.commit(plain)
	c := r.claim("f")
	before := r.get(id)
	bad := accept(add("X", "y"), add("X", "y\r\nBcc: all@example.org"))
	_, err := r.e.Judge(context.Background(), "f", c.Token, "", bad)
	var v *VerdictError
	if !errors.As(err, &v) || v.Code != CodeInvalid || v.Field != "edits[1].value" {
		t.Fatalf("%v", err)
	}
	if after := r.get(id); after.Rev != before.Rev {
		t.Error("the item changed")
	}
	r.judge("f", c.Token, accept())
}

func TestAHeaderSectionTooLargeToEditRefusesTheEdit(t *testing.T) {
	o := oneFilter(Definition{})
	o.MaxHeader = 100
	r := newRig(t, o)
	fits := "A: " + strings.Repeat("x", 95) + "\r\n"
	id := r.commit(fits + "\r\n" + strings.Repeat("b", 1000))
	r.judge("f", r.claim("f").Token, accept(add("X", "y")))
	if !strings.HasPrefix(r.content(id), fits+"X: y\r\n\r\nbbb") {
		t.Errorf("%.200q", r.content(id))
	}
	big := "A: " + strings.Repeat("x", 96) + "\r\n\r\nbody"
	id = r.commit(big)
	c := r.claim("f")
	_, err := r.e.Judge(context.Background(), "f", c.Token, "", accept(add("X", "y")))
	var v *VerdictError
	if !errors.As(err, &v) || v.Code != CodeHeaderLarge {
		t.Fatalf("%v", err)
	}
	r.judge("f", c.Token, accept())
	if r.content(id) != big {
		t.Error("content changed")
	}
}

func TestUploadReplacesTheBody(t *testing.T) {
	r := newRig(t, oneFilter(Definition{}))
	id := r.commit("A: 1\r\n\r\nold")
	c := r.claim("f")
	upload := func(s string) string {
		w, err := r.e.Upload(context.Background(), "f", c.Token)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
		b, _, err := w.Seal(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return UploadName(b)
	}
	name := upload("new\n")
	_, err := r.e.Judge(context.Background(), "f", c.Token, "", accept(filterproto.Edit{Op: filterproto.BodyReplace, Upload: "4711"}))
	var v *VerdictError
	if !errors.As(err, &v) || v.Code != CodeUpload {
		t.Fatalf("unknown upload: %v", err)
	}
	r.judge("f", c.Token, accept(add("X", "y"), filterproto.Edit{Op: filterproto.BodyReplace, Upload: name}))
	if got, want := r.content(id), "A: 1\r\nX: y\r\n\r\nnew\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	id = r.commit("A: 1\r\n\r\nold")
	c = r.claim("f")
	r.judge("f", c.Token, accept(filterproto.Edit{Op: filterproto.MessageReplace, Upload: upload("whole\x00")}))
	if got := r.content(id); got != "whole\x00" {
		t.Errorf("%q", got)
	}
}

func TestManyLargeEditsArePutIntoOneTransaction(t *testing.T) {
	r := newRig(t, oneFilter(Definition{}))
	id := r.commit(plain, "b@example.net", "c@example.com", "d@example.org")
	var edits []filterproto.Edit
	for range 20 {
		edits = append(edits, add("X", strings.Repeat("v", filterproto.MaxValue)))
	}
	v := accept(edits...)
	v.Recipients = []filterproto.RecipientVerdict{
		{Recipients: []string{"c@example.com"}, Verdict: accept(edits[:19]...)},
		{Recipients: []string{"d@example.org"}, Verdict: accept(edits[:18]...)},
	}
	items := r.judge("f", r.claim("f").Token, v)
	if len(items) != 3 {
		t.Fatalf("%d items", len(items))
	}
	if got, want := len(r.content(id)), len(plain)+20*(filterproto.MaxValue+5); got != want {
		t.Errorf("%d octets, want %d", got, want)
	}
}

func TestEnvelopeEdits(t *testing.T) {
	edit := func(op filterproto.EditOp, v string) filterproto.Edit { return filterproto.Edit{Op: op, Value: v} }
	o := oneFilter(Definition{})
	o.Route = func(p string) (string, string, error) {
		if strings.HasPrefix(p, "bad@") {
			return "", "", errors.New("table is gone")
		}
		return "smtp", "route.example", nil
	}
	r := newRig(t, o)
	id := r.commit(plain, "b@example.net", "c@example.com")
	r.judge("f", r.claim("f").Token, accept(
		edit(filterproto.ReversePathSet, ""), edit(filterproto.RecipientDelete, "b@EXAMPLE.net"),
		edit(filterproto.RecipientAdd, "new@example.org"), edit(filterproto.RecipientAdd, "c@example.com"),
		edit(filterproto.RecipientDelete, "nobody@example.org")))
	var got []string
	for _, it := range r.outcome(id) {
		if it.Envelope.ReversePath != "" {
			t.Errorf("reverse-path %q", it.Envelope.ReversePath)
		}
		for _, rcpt := range it.Envelope.Recipients {
			got = append(got, rcpt.Path+" "+rcpt.Status.String()+" "+rcpt.NextHop)
		}
	}
	want := "b@example.net removed example.net,c@example.com pending example.com,new@example.org pending route.example"
	if strings.Join(got, ",") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ","), want)
	}

	r.commit(plain)
	c := r.claim("f")
	if _, err := r.e.Judge(context.Background(), "f", c.Token, "", accept(edit(filterproto.RecipientAdd, "bad@example.org"))); err == nil {
		t.Error("an added recipient without a route was accepted")
	}
	items := r.judge("f", c.Token, accept(edit(filterproto.RecipientDelete, "b@example.net"), edit(filterproto.RecipientAdd, "b@example.net")))
	if items[0].State != queue.Incoming || items[0].Envelope.Recipients[0].Status != queue.Pending {
		t.Errorf("removed and added again: %+v", items[0])
	}
	r.commit(plain)
	items = r.judge("f", r.claim("f").Token, accept(edit(filterproto.RecipientDelete, "b@example.net")))
	if o := items[0].Outcome; o == nil || o.Disposition != queue.Discarded {
		t.Errorf("nobody left: %+v", items[0])
	}
}
