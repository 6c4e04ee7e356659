package mtahooksfilter

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"mtad/internal/filter"
	"mtad/internal/filter/hookclient"
	"mtad/internal/filter/scannertest"
	"mtad/internal/smtp"
	"mtad/queue"
)

// newGate is a Gate of a server that gives one answer.
func newGate(t *testing.T, answer string, failure map[filter.Class]filter.Action) *Gate {
	t.Helper()
	g, err := NewGate(Options{Name: "mx.test", Setup: Endpoint, Timeout: 5 * time.Second,
		Server: hookclient.Options{URL: "http://127.0.0.1/", Address: scannertest.Serve(t, scannertest.Says(answer))}}, "f", failure, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.f.Close() })
	return g
}

// session goes through the stages, and returns what they say in one line.
func session(t *testing.T, g *Gate) string {
	t.Helper()
	d := g.Open()
	defer d.Close()
	env := scannertest.Envelope()
	var list []string
	for _, r := range []*smtp.Reply{d.Connect(t.Context(), &env.Client), d.Helo(&env.Client), d.Mail(&env), d.Rcpt(&queue.Recipient{Path: "x@example.net"}), d.Data()} {
		if r == nil {
			list = append(list, "-")
		} else {
			list = append(list, fmt.Sprint(r.Code))
		}
	}
	return strings.Join(list, " ")
}

func TestAnswersBeforeTheMessageAreReplies(t *testing.T) {
	tempfail := map[filter.Class]filter.Action{filter.Protocol: filter.Tempfail, filter.Unreachable: filter.Reject}
	for answer, want := range map[string]string{
		`{}`: "- - - - -",
		`{"set":[{"path":"/action","value":"reject"}]}`:                                           "554 550 550 550 -",
		`{"set":[{"path":"/action","value":"reject"},{"path":"/response","value":{"code":451}}]}`: "421 451 451 451 -",
		`{"set":[{"path":"/action","value":"disconnect"}]}`:                                       "421 421 421 421 -",
		`{"set":[{"path":"/action","value":"quarantine"}]}`:                                       "- - - - -",
		`{"set":[{"path":"/action","value":"discard"}]}`:                                          "- - - - -",
		`{"add":[{"path":"/envelope/to","value":{"address":"x@example.net"}}]}`:                   "421 451 451 451 451",
		`{"set":[{"path":"/rawMessage","value":"QQ=="}]}`:                                         "421 451 451 451 451",
		`{"set":[{"path":"/action","value":"reject"},{"path":"/response","value":{"code":999}}]}`: "421 451 451 451 451",
		`garbage`: "421 451 451 451 451",
	} {
		if got := session(t, newGate(t, ok(answer), tempfail)); got != want {
			t.Errorf("%s: %s, want %s", answer, got, want)
		}
	}
	if got := session(t, newGate(t, scannertest.Answered("503 later", "", isJSON), tempfail)); got != "554 550 550 550 550" {
		t.Errorf("503: %s", got)
	}
	if got := session(t, newGate(t, ok(`garbage`), nil)); got != "- - - - -" {
		t.Errorf("parked: %s", got)
	}
}

func TestStagesThatAreNotAgreedOnAreNotAsked(t *testing.T) {
	got := make(chan exchange, 10)
	address := scannertest.Serve(t, recorded(map[string]string{
		"POST /register": created(strings.Replace(registeredAs, `"stages":["data"]`, `"stages":["rcpt","data"]`, 1)), "POST /hook": ok("{}"),
	}, got))
	g, err := NewGate(Options{Name: "mx.test", Setup: Registration, Server: hookclient.Options{URL: "http://127.0.0.1/register", Address: address}}, "f", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer g.f.Close()
	if s := session(t, g); s != "- - - - -" {
		t.Error(s)
	}
	close(got)
	var bodies []string
	for e := range got {
		bodies = append(bodies, e.URL.Path+" "+string(e.body))
	}
	if len(bodies) != 2 || !strings.Contains(bodies[0], `"stages":["connect","ehlo","mail","rcpt"]`) || bodies[1] != `/hook {"rawMessage":null,"stage":"rcpt"}` {
		t.Errorf("%q", bodies)
	}
}

func TestClientThatGoesIsNoFailureOfTheScanner(t *testing.T) {
	g := newGate(t, ok("{}"), map[filter.Class]filter.Action{filter.Timeout: filter.Reject, filter.Unreachable: filter.Reject, filter.Crash: filter.Reject, filter.Protocol: filter.Reject})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := g.Open().Connect(ctx, &queue.Client{}); r != nil {
		t.Errorf("%+v", r)
	}
}
