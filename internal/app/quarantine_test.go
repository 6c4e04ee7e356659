package app_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	gosmtp "github.com/emersion/go-smtp"

	"mtad/api"
	"mtad/filterproto"
	"mtad/internal/app"
	"mtad/queue"
)

// operate makes an operator's change over the API.
func operate(t *testing.T, a *app.App, id queue.ID, r api.ActionRequest) *api.ActOnMessageResponse {
	t.Helper()
	c, err := api.NewClientWithResponses("http://"+a.Addr("api").String(), api.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+secret)
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.ActOnMessageWithResponse(t.Context(), string(id), r)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func operated(t *testing.T, a *app.App, id queue.ID, r api.ActionRequest) api.Message {
	t.Helper()
	res := operate(t, a, id, r)
	if res.JSON200 == nil {
		t.Fatalf("%s: %s", r.Action, res.Body)
	}
	return res.JSON200.Messages[0]
}

func TestQuarantineRunsOut(t *testing.T) {
	for then, check := range map[string]func(t *testing.T, next *sink, it queue.Item){
		"delete": func(t *testing.T, next *sink, it queue.Item) {
			if it.Outcome.Disposition != queue.Deleted || len(next.got) != 0 {
				t.Errorf("outcome %+v, %d messages sent", it.Outcome, len(next.got))
			}
		},
		"bounce": func(t *testing.T, next *sink, it queue.Item) {
			if m := next.wait(t); m.from != "" || fmt.Sprint(m.to) != "[a@example.org]" || !strings.Contains(strings.Join(strings.Fields(string(m.data)), " "), queue.HoldBounced) {
				t.Errorf("report from %q to %v:\n%s", m.from, m.to, m.data)
			}
		},
		"release": func(t *testing.T, next *sink, it queue.Item) {
			if m := next.wait(t); fmt.Sprint(m.to) != "["+toHold+"]" || content(t, m.data) != message {
				t.Errorf("to %v: %s", m.to, m.data)
			}
		},
	} {
		for _, timing := range timings {
			t.Run(then+"/"+timing, func(t *testing.T) {
				t.Parallel() // each waits for a hold to end
				next := newSink(t)
				a, _ := start(t, read(t, t.TempDir(), pairConfig(next.addr, timing, "quarantine: {keep: 1s, then: "+then+"}")))
				judging(t, a, map[string]func([]string) filterproto.Verdict{"first": holdsAll, "second": acceptsAll})
				_, id := dial(t, a.Addr("smtp").String()).sendTo(250, message, toHold)
				it := finished(t, a.Queue(), queue.ID(id))
				check(t, next, it)
			})
		}
	}
}

// A filter nobody serves quarantines; the client has its 250. Released, the message
// is scanned by that filter before it goes on, and is not held for the same again.
func TestQuarantineOfAFilterThatFailedIsScannedWhenReleased(t *testing.T) {
	for _, timing := range timings {
		t.Run(timing, func(t *testing.T) {
			t.Parallel() // each waits for a filter that nobody serves
			next := newSink(t)
			text := strings.Replace(pairConfig(next.addr, timing, ""), "first: {}", "first: {timeout: 1s, on: {unreachable: quarantine}}", 1)
			a, _ := start(t, read(t, t.TempDir(), text))
			_, id := dial(t, a.Addr("smtp").String()).sendTo(250, message, toYes)
			become(t, a.Queue(), id, "yes pending, held by filter:first")
			m := operated(t, a, queue.ID(id), api.ActionRequest{Action: api.ActionKindRelease, Quarantined: true})
			if m.State != "unfiltered" || m.Stage != "first" || len(next.got) != 0 {
				t.Fatalf("released to %s %s", m.State, m.Stage)
			}
			j := judging(t, a, map[string]func([]string) filterproto.Verdict{"first": acceptsAll, "second": acceptsAll})
			if m := next.wait(t); fmt.Sprint(m.to) != "["+toYes+"]" {
				t.Errorf("to %v", m.to)
			}
			finished(t, a.Queue(), queue.ID(id))
			if len(j.saw("first")) != 1 || len(j.saw("second")) != 1 {
				t.Errorf("seen by first %v, second %v", j.saw("first"), j.saw("second"))
			}
		})
	}
}

func TestRescanGoesThroughTheChainAgain(t *testing.T) {
	next := newSink(t)
	a, _ := start(t, read(t, t.TempDir(), pairConfig(next.addr, "after", "")))
	held := true
	j := judging(t, a, map[string]func([]string) filterproto.Verdict{"first": func([]string) filterproto.Verdict {
		if held {
			held = false
			return holds
		}
		return accepts
	}, "second": acceptsAll})
	_, id := dial(t, a.Addr("smtp").String()).sendTo(250, message, toHold)
	become(t, a.Queue(), id, "hold pending, held by filter:first")
	operated(t, a, queue.ID(id), api.ActionRequest{Action: api.ActionKindRequeue, Filter: true, Quarantined: true})
	next.wait(t)
	finished(t, a.Queue(), queue.ID(id))
	if len(j.saw("first")) != 2 || len(j.saw("second")) != 1 {
		t.Errorf("seen by first %v, second %v", j.saw("first"), j.saw("second"))
	}
}

// What cannot be delivered to the analyst is reported to the postmaster; the sender
// and the recipients hear nothing.
func TestRedirectTellsNobodyButThePostmaster(t *testing.T) {
	next := newSink(t)
	a, _ := start(t, read(t, t.TempDir(), pairConfig(next.addr, "after", "postmaster: pm@example.net")))
	judging(t, a, map[string]func([]string) filterproto.Verdict{"first": holdsAll, "second": rejectsAll})
	c := dial(t, a.Addr("smtp").String())
	_, id := c.sendTo(250, message, toYes, toHold)
	become(t, a.Queue(), id, "hold pending, yes pending, held by filter:first")
	m := operated(t, a, queue.ID(id), api.ActionRequest{Action: api.ActionKindRedirect, To: "analyst@example.com", Quarantined: true})
	if m.ID != id || m.State != "incoming" || m.Hold.By != "" {
		t.Errorf("redirected: %+v", m)
	}
	if got := next.wait(t); fmt.Sprint(got.to) != "[analyst@example.com]" || got.from != "pm@example.net" || content(t, got.data) != message {
		t.Errorf("from %q to %v", got.from, got.to)
	}
	it := finished(t, a.Queue(), queue.ID(id))
	if got := fmt.Sprint(parts(t, a.Queue(), id)); got != "[analyst@example.com relayed, hold removed, yes removed, done]" || it.Meta[queue.MetaRedirected] != "<a@example.org>" {
		t.Errorf("history %s, meta %v", got, it.Meta)
	}

	_, id = c.sendTo(250, message, toHold)
	become(t, a.Queue(), id, "hold pending, held by filter:first")
	next.refuseNext(&gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "no analyst"})
	operated(t, a, queue.ID(id), api.ActionRequest{Action: api.ActionKindRedirect, To: "analyst@example.com"})
	if got := next.wait(t); got.from != "" || fmt.Sprint(got.to) != "[pm@example.net]" || strings.Contains(string(got.data), "Final-Recipient: rfc822; "+toHold) {
		t.Errorf("report from %q to %v:\n%s", got.from, got.to, got.data)
	}
	finished(t, a.Queue(), queue.ID(id))
	if len(next.got) != 0 {
		t.Errorf("more was sent: %v", (<-next.got).to)
	}
}

func TestRedirectIsRefusedWhereNoMailCanGo(t *testing.T) {
	next := newSink(t)
	a, _ := start(t, read(t, t.TempDir(), pairConfig(next.addr, "after", "local_domains: [mx.test]\nlocal: {mailboxes: [ann]}\n")))
	judging(t, a, map[string]func([]string) filterproto.Verdict{"first": holdsAll})
	_, id := dial(t, a.Addr("smtp").String()).sendTo(250, message, toHold)
	become(t, a.Queue(), id, "hold pending, held by filter:first")
	for _, to := range []string{"", "nobody@mx.test", "x", "<x@example.com>", "x@example.com y@example.com", "x@example.com\r\nRCPT TO:<y@example.com>", strings.Repeat("x", 600) + "@example.com"} {
		if res := operate(t, a, queue.ID(id), api.ActionRequest{Action: api.ActionKindRedirect, To: to}); res.StatusCode() != http.StatusBadRequest {
			t.Errorf("%q: %d %s", to, res.StatusCode(), res.Body)
		}
	}
	become(t, a.Queue(), id, "hold pending, held by filter:first")
}
