package qmgr

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mtad/internal/deliver"
	"mtad/internal/smtp"
	"mtad/queue"
)

func TestDeliveredItemIsFinished(t *testing.T) {
	in(t, Options{}, func(s *stand) {
		id := s.put(nil, "b@example.net")
		pass(time.Second)
		it := s.only(id)
		if it.Outcome == nil || it.Outcome.Disposition != queue.Done || it.Outcome.Reply != "250 2.1.5 ok" {
			t.Fatalf("outcome %+v", it.Outcome)
		}
		rc := it.Envelope.Recipients[0]
		if rc.Status != queue.Relayed || rc.Attempts != 1 || it.Attempts != 1 || rc.LastRemote != "mx.example.net" || !rc.Reported {
			t.Errorf("recipient %+v, item attempts %d", rc, it.Attempts)
		}
		if len(s.tries) != 1 {
			t.Errorf("tried %v: no report was asked for", s.tries)
		}
	})
}

func TestTransientResultIsTriedAgainAfterTheBackoff(t *testing.T) {
	in(t, Options{MinBackoff: time.Minute}, func(s *stand) {
		s.answer = transient
		id := s.put(nil, "b@example.net")
		pass(time.Second)
		it := s.only(id)
		if it.State != queue.Deferred || !it.NextAt.After(time.Now().Add(58*time.Second)) || it.Envelope.Recipients[0].LastReply != "450 4.2.1 busy" {
			t.Fatalf("item %+v", it)
		}
		pass(62 * time.Second) // second attempt; the third is two minutes later
		s.mu.Lock()
		s.answer = nil
		s.mu.Unlock()
		pass(110 * time.Second)
		if n := s.tried("b@example.net"); n != 2 {
			t.Fatalf("%d attempts, want 2", n)
		}
		pass(15 * time.Second)
		if !s.finished(id) || s.tried("b@example.net") != 3 {
			t.Errorf("finished %v after %d attempts", s.finished(id), s.tried("b@example.net"))
		}
	})
}

func TestEachRecipientHasItsOwnResult(t *testing.T) {
	in(t, Options{MinBackoff: time.Minute}, func(s *stand) {
		s.answer = func(ctx context.Context, path string) deliver.Result {
			switch path[0] {
			case 'g':
				return relayed(ctx, path)
			case 'b':
				return permanent(ctx, path)
			}
			return transient(ctx, path)
		}
		id := s.put(nil, "good@example.net", "bad@example.net", "later@example.net")
		pass(10 * time.Second)
		if n := s.tried("sender@example.com"); n != 1 {
			t.Fatalf("%d reports: the failure of one does not wait for another", n)
		}
		pass(time.Minute)
		s.mu.Lock()
		s.answer = nil
		s.mu.Unlock()
		pass(5 * time.Minute)
		if !s.finished(id) {
			t.Fatal("not finished")
		}
		if g, b, l, r := s.tried("good@example.net"), s.tried("bad@example.net"), s.tried("later@example.net"), s.tried("sender@example.com"); g != 1 || b != 1 || l != 3 || r != 1 {
			t.Errorf("attempts good %d bad %d later %d report %d, want 1 1 3 1", g, b, l, r)
		}
	})
}

func TestPermanentFailureIsReportedAndFinished(t *testing.T) {
	in(t, Options{}, func(s *stand) {
		s.answer = permanent
		id := s.put(nil, "b@example.net", "c@example.net")
		pass(10 * time.Second)
		it := s.only(id)
		if it.Outcome == nil || !strings.Contains(it.Outcome.Reply, "5.1.1") {
			t.Fatalf("outcome %+v", it.Outcome)
		}
		if n := s.tried("sender@example.com"); n != 1 {
			t.Errorf("%d reports on two recipients, want 1", n)
		}
	})
}

func TestEndOfLifetimeBouncesWithTheLastReply(t *testing.T) {
	in(t, Options{MinBackoff: time.Minute, MaxBackoff: 10 * time.Minute, Lifetime: time.Hour, NullLifetime: 20 * time.Minute}, func(s *stand) {
		s.answer = transient
		id := s.put(nil, "b@example.net")
		null := s.put(func(e *queue.Envelope, _ *queue.CreateOptions) { e.ReversePath = "" }, "c@example.net")
		own := s.put(func(_ *queue.Envelope, o *queue.CreateOptions) { o.Expires = time.Now().Add(5 * time.Minute) }, "d@example.net")
		pass(6 * time.Minute)
		if !s.finished(own) || s.finished(null) || s.finished(id) {
			t.Fatal("an item's own end counts")
		}
		pass(15 * time.Minute)
		if !s.finished(null) || s.finished(id) {
			t.Fatal("the null reverse-path has its own lifetime")
		}
		if s.tried("postmaster@mx.example.org") != 1 {
			t.Errorf("the double bounce went to the postmaster %d times", s.tried("postmaster@mx.example.org"))
		}
		pass(40 * time.Minute)
		it := s.only(id)
		if it.Outcome == nil || it.Outcome.Reply != "450 4.2.1 busy" || it.Envelope.Recipients[0].Status != queue.Failed {
			t.Errorf("item %+v", it)
		}
	})
}

func TestDelayIsReportedOnce(t *testing.T) {
	in(t, Options{MinBackoff: time.Minute, DelayWarning: 5 * time.Minute, Lifetime: time.Hour}, func(s *stand) {
		s.answer = transient
		id := s.put(nil, "b@example.net")
		never := s.put(func(e *queue.Envelope, _ *queue.CreateOptions) { e.Recipients[0].Notify = queue.NotifyFailure }, "c@example.net")
		pass(4 * time.Minute)
		if n := s.tried("sender@example.com"); n != 0 {
			t.Fatalf("%d reports before the time", n)
		}
		pass(40 * time.Minute)
		if n := s.tried("sender@example.com"); n != 1 || !s.only(id).Envelope.Recipients[0].DelaySent || s.only(never).Envelope.Recipients[0].DelaySent {
			t.Errorf("%d reports, want 1", n)
		}
	})
}

func TestBounceByAnOperatorIsReportedWithoutAnAttempt(t *testing.T) {
	in(t, Options{}, func(s *stand) {
		id := s.put(func(_ *queue.Envelope, o *queue.CreateOptions) { o.NextAt = time.Now().Add(time.Hour) }, "b@example.net")
		s.apply(id, queue.FailPending{Reply: "550 5.7.1 not wanted here"})
		pass(10 * time.Second)
		if !s.finished(id) || s.tried("b@example.net") != 0 || s.tried("sender@example.com") != 1 {
			t.Errorf("finished %v, tried %v", s.finished(id), s.tries)
		}
	})
}

func TestSuccessIsReportedWhenAskedForAndNobodyElseDoes(t *testing.T) {
	for _, other := range []bool{false, true} {
		in(t, Options{}, func(s *stand) {
			s.answer = func(ctx context.Context, path string) deliver.Result {
				r := relayed(ctx, path)
				r.DSN = other
				return r
			}
			id := s.put(func(e *queue.Envelope, _ *queue.CreateOptions) { e.Recipients[0].Notify = queue.NotifySuccess }, "b@example.net")
			pass(10 * time.Second)
			want := 1
			if other {
				want = 0
			}
			if n := s.tried("sender@example.com"); n != want || !s.finished(id) {
				t.Errorf("next hop reports: %v; %d reports, want %d", other, n, want)
			}
		})
	}
}

func TestAPanicOrAMissingTransportOrResultIsTransient(t *testing.T) {
	in(t, Options{}, func(s *stand) {
		s.o.Transports["silent"] = silentTransport{}
		s.answer = func(context.Context, string) deliver.Result { panic("boom") }
		route := func(transport string) func(*queue.Envelope, *queue.CreateOptions) {
			return func(e *queue.Envelope, _ *queue.CreateOptions) { e.Recipients[0].Transport = transport }
		}
		ids := []queue.ID{
			s.put(nil, "a@example.net"), s.put(route("none"), "b@example.net"), s.put(route("silent"), "c@example.net"),
		}
		pass(time.Second)
		for _, id := range ids {
			it := s.only(id)
			if it.State != queue.Deferred || !strings.HasPrefix(it.Envelope.Recipients[0].LastReply, "451 4.3.") {
				t.Errorf("%s: state %s, reply %q", it.Envelope.Recipients[0].Transport, it.State, it.Envelope.Recipients[0].LastReply)
			}
		}
	})
}

type silentTransport struct{}

func (silentTransport) Deliver(context.Context, deliver.Job) []deliver.Result {
	return []deliver.Result{{Index: 7, Status: queue.Delivered}, {Index: 0, Status: queue.Removed}}
}

func TestLongAttemptKeepsItsLease(t *testing.T) {
	in(t, Options{Lease: time.Minute}, func(s *stand) {
		s.answer = func(ctx context.Context, path string) deliver.Result {
			time.Sleep(10 * time.Minute)
			return relayed(ctx, path)
		}
		id := s.put(nil, "b@example.net")
		pass(11 * time.Minute)
		if it := s.only(id); it.Outcome == nil || it.LostClaims != 0 || s.tried("b@example.net") != 1 {
			t.Errorf("item %+v, %d attempts", it, s.tried("b@example.net"))
		}
	})
}

func TestAnOperatorEndsAnAttemptAndItsResultIsRefused(t *testing.T) {
	in(t, Options{Lease: time.Minute}, func(s *stand) {
		cut := false
		s.answer = func(ctx context.Context, path string) deliver.Result {
			<-ctx.Done()
			cut = true
			return relayed(ctx, path)
		}
		id := s.put(nil, "b@example.net")
		pass(time.Second)
		s.apply(id, queue.Finish{Disposition: queue.Deleted})
		pass(time.Minute)
		if it := s.only(id); !cut || it.Outcome.Disposition != queue.Deleted || it.Envelope.Recipients[0].Status != queue.Pending {
			t.Errorf("cut short %v, item %+v", cut, it)
		}
		if s.m.Active() != 0 {
			t.Errorf("%d active", s.m.Active())
		}
	})
}

func TestStopWaitsForAttemptsAndGivesBackTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, Options{Concurrency: 2, Initial: 1, Limit: 1, DrainTimeout: time.Minute})
		s.answer = func(ctx context.Context, path string) deliver.Result {
			select {
			case <-ctx.Done():
				return transient(ctx, path)
			case <-time.After(30 * time.Second):
				return relayed(ctx, path)
			}
		}
		s.start()
		var ids []queue.ID
		for range 3 {
			ids = append(ids, s.put(nil, "b@example.net"))
			pass(time.Second)
		}
		begin := time.Now()
		s.stop()
		if d := time.Since(begin); d > 30*time.Second {
			t.Errorf("stopped after %v", d)
		}
		if !s.finished(ids[0]) || s.tried("b@example.net") != 1 {
			t.Errorf("the running attempt was not waited for; %d attempts", s.tried("b@example.net"))
		}
		for _, id := range ids[1:] {
			if it := s.only(id); it.State != queue.Incoming || it.Lease != nil || it.Attempts != 0 || it.LostClaims != 0 {
				t.Errorf("item %+v", it)
			}
		}
	})
}

func TestStopCutsShortWhatDoesNotEnd(t *testing.T) {
	for _, obeys := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := newStand(t, Options{DrainTimeout: time.Minute})
			end := make(chan struct{})
			s.answer = func(ctx context.Context, path string) deliver.Result {
				if !obeys {
					ctx = context.Background()
				}
				select {
				case <-ctx.Done():
				case <-end:
				}
				return transient(ctx, path)
			}
			s.start()
			id := s.put(nil, "b@example.net")
			pass(time.Second)
			begin := time.Now()
			s.stop()
			if d := time.Since(begin); d > time.Minute+2*grace {
				t.Errorf("stopped after %v", d)
			}
			it := s.only(id)
			if it.State != queue.Incoming || it.Lease != nil || it.Attempts != 0 || !it.NextAt.IsZero() {
				t.Errorf("item %+v", it)
			}
			close(end)
		})
	}
}

func TestASlowDestinationBlocksNoOther(t *testing.T) {
	in(t, Options{ActiveLimit: 64, Concurrency: 8}, func(s *stand) {
		s.answer = func(ctx context.Context, path string) deliver.Result {
			if strings.HasSuffix(path, "@slow.example") {
				select {
				case <-ctx.Done():
				case <-time.After(time.Hour):
				}
				return transient(ctx, path)
			}
			return relayed(ctx, path)
		}
		for range 500 {
			s.put(nil, "x@slow.example")
		}
		pass(10 * time.Second)
		id := s.put(nil, "b@quick.example")
		pass(time.Second)
		if !s.finished(id) {
			t.Error("new mail waits behind a slow destination")
		}
		if n := s.m.Active(); n > 64 {
			t.Errorf("%d active", n)
		}
		if n := s.tried("x@slow.example"); n > 4 {
			t.Errorf("%d of 8 workers are with the slow destination", n)
		}
	})
}

func TestADeadDestinationIsSkippedAndProbed(t *testing.T) {
	in(t, Options{Concurrency: 8, Initial: 2, DeadAfter: 3, DeadMin: time.Minute, MinBackoff: 5 * time.Minute, Lifetime: 24 * time.Hour}, func(s *stand) {
		s.answer = func(ctx context.Context, path string) deliver.Result {
			return deliver.Result{Status: queue.Pending, Reply: refused}
		}
		var ids []queue.ID
		for range 50 {
			ids = append(ids, s.put(nil, "x@down.example"))
		}
		pass(10 * time.Second)
		if n := s.tried("x@down.example"); n > 4 {
			t.Fatalf("%d attempts", n)
		}
		for _, id := range ids {
			it := s.only(id)
			if rc := it.Envelope.Recipients[0]; it.State != queue.Deferred || rc.LastReply != "451 4.4.1 connection refused" {
				t.Fatalf("state %s, reply %q", it.State, rc.LastReply)
			}
		}
		s.mu.Lock()
		s.answer = nil
		s.mu.Unlock()
		pass(30 * time.Minute)
		if n := slices.IndexFunc(ids, func(id queue.ID) bool { return !s.finished(id) }); n >= 0 {
			t.Errorf("item %d is not delivered after the destination came back: %+v", n, s.only(ids[n]))
		}
	})
}

func TestAChangedRouteSendsItemsElsewhere(t *testing.T) {
	route := func(path string) (string, string, error) {
		if strings.HasPrefix(path, "a") {
			return "smtp", "new.example", nil
		}
		return "smtp", "other.example", nil
	}
	in(t, Options{Route: route}, func(s *stand) {
		id := s.put(nil, "a@example.net", "b@example.net")
		pass(10 * time.Second)
		its := s.history(id)
		hops := map[string]string{}
		for _, it := range its {
			for _, rc := range it.Envelope.Recipients {
				hops[rc.Path] = rc.NextHop
			}
		}
		if len(its) != 2 || !s.finished(id) || hops["a@example.net"] != "new.example" || hops["b@example.net"] != "other.example" {
			t.Errorf("%d parts to %v", len(its), hops)
		}
	})
}

func TestRoutesThatNeverSettleEndInAnAttempt(t *testing.T) {
	n := 0
	route := func(path string) (string, string, error) { // called under the claim alone
		n++
		return "smtp", strings.Repeat("x", n%7+1) + ".example", nil
	}
	in(t, Options{Route: route}, func(s *stand) {
		id := s.put(nil, "a@example.net", "b@example.net", "c@example.net")
		pass(10 * time.Second)
		if !s.finished(id) || n > 100 {
			t.Errorf("finished %v after %d routes", s.finished(id), n)
		}
	})
}

func TestAFlushProbesADeadDestination(t *testing.T) {
	in(t, Options{DeadAfter: 1, DeadMin: 2 * time.Hour, DeadMax: 2 * time.Hour}, func(s *stand) {
		s.answer = func(context.Context, string) deliver.Result {
			return deliver.Result{Status: queue.Pending, Reply: refused}
		}
		id := s.put(nil, "x@down.example")
		pass(time.Minute)
		s.mu.Lock()
		s.answer = nil
		s.mu.Unlock()
		pass(30 * time.Minute) // due by itself, and put off
		if s.finished(id) || s.tried("x@down.example") != 1 {
			t.Fatalf("%d attempts at a dead destination", s.tried("x@down.example"))
		}
		s.apply(id, queue.SetNextAt{})
		pass(2 * time.Second)
		if !s.finished(id) {
			t.Error("a flush makes no attempt")
		}
	})
}

// A new smarthost that is slow: what was routed to many places before joins one
// destination, which does not fill the active set with it.
func TestReroutedItemsDoNotFillTheActiveSet(t *testing.T) {
	route := func(path string) (string, string, error) {
		if path[0] == 'x' {
			return "smtp", "slow.example", nil
		}
		return "smtp", "quick.example", nil
	}
	in(t, Options{ActiveLimit: 64, Concurrency: 8, Route: route}, func(s *stand) {
		s.answer = func(ctx context.Context, path string) deliver.Result {
			if path[0] == 'x' {
				select {
				case <-ctx.Done():
				case <-time.After(time.Hour):
				}
				return transient(ctx, path)
			}
			return relayed(ctx, path)
		}
		for i := range 200 {
			s.put(nil, fmt.Sprintf("x@old%d.example", i))
		}
		pass(10 * time.Second)
		s.m.mu.Lock()
		held := s.m.core.active[fresh]
		s.m.mu.Unlock()
		if held > 16 {
			t.Errorf("%d items of one slow destination are active", held)
		}
		id := s.put(nil, "q@old.example")
		pass(time.Second)
		if !s.finished(id) {
			t.Error("new mail waits behind rerouted items")
		}
	})
}

func TestOnlyALostSessionIsTheDestinationsFault(t *testing.T) {
	closing := smtp.Reply{Code: 421, Enhanced: "4.3.2", Text: "closing"}
	cases := []struct {
		reply  smtp.Reply
		remote string
		want   signal
	}{
		{refused, "", bad},
		{smtp.Reply{Code: 451, Enhanced: "4.7.4", Text: "TLS is required but was not offered"}, "", bad},
		{closing, "mx.example.net", bad},
		{smtp.Reply{Code: 450, Enhanced: "4.3.2", Text: "later"}, "mx.example.net", bad},
		{busy, "mx.example.net", good},
		{smtp.Reply{Code: 451, Enhanced: "4.7.1", Text: "greylisted"}, "mx.example.net", good},
		{smtp.Reply{Code: 451, Enhanced: "4.3.0", Text: "content could not be read"}, "", silent},
		{noTransport, "", silent},
	}
	for _, c := range cases {
		r := deliver.Result{Status: queue.Pending, Reply: c.reply, Remote: c.remote}
		if n := judge([]deliver.Result{r, r}); n.signal != c.want {
			t.Errorf("%v: got %v, want %v", c.reply, n.signal, c.want)
		}
		if n := judge([]deliver.Result{r, {Status: queue.Relayed, Reply: ok}}); n.signal != good {
			t.Errorf("%v beside a success: got %v, want good", c.reply, n.signal)
		}
	}
}
