package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"mtad/api"
	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/httpapi"
	"mtad/queue"
	"mtad/queue/queuetest"
)

// world is what one script runs against: mtad's API over the model queue, with
// the chain "in" of the filters "virus" and "spam", and a clock that stands still.
type world struct {
	q      *queuetest.Model
	engine *filter.Engine
	clock  *queuetest.ManualClock
	mails  int
}

type worldKey struct{}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup:               setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"mtactl":  runMtactl,
			"mail":    putMail,
			"judge":   judgeMail,
			"fail":    failMail,
			"advance": advanceClock,
		},
	})
}

func setup(env *testscript.Env) error {
	w := &world{clock: queuetest.NewClock()}
	w.q = queuetest.NewModel(queuetest.ModelOptions{Clock: w.clock})
	var err error
	w.engine, err = filter.New(filter.Options{
		Queue: w.q, Now: w.clock.Now,
		Chains:  map[string]filter.Chain{"in": {Filters: []string{"virus", "spam"}}},
		Filters: map[string]filter.Definition{"virus": {}, "spam": {}},
	})
	if err != nil {
		return err
	}
	reader, stored := httpapi.NewToken("queue:read")
	stored.Name = "reader"
	s, err := httpapi.New(httpapi.Options{
		Queue: w.q, Filters: w.engine, Now: w.clock.Now, Tokens: []httpapi.Token{stored},
		FilterStates: w.filterStates, Postmaster: "postmaster@mx.example.org",
		Route: func(path string) (transport, hop string, err error) {
			if strings.HasSuffix(path, "@nowhere.example") {
				return "", "", errors.New("no route")
			}
			return "smtp", path[strings.LastIndex(path, "@")+1:], nil
		},
		Process: httpapi.Process{Version: "1.2.3", Hostname: "mx.example.org", Started: w.clock.Now().Add(-time.Hour)},
	})
	if err != nil {
		return err
	}
	socket := filepath.Join(env.WorkDir, "s")
	u, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, u, l) }()
	env.Defer(func() { cancel(); <-done; w.q.Close() })
	env.Values[worldKey{}] = w
	env.Setenv("MTACTL_SERVER", "unix:"+socket)
	env.Setenv("TCP", "http://"+l.Addr().String())
	env.Setenv("READER", reader)
	return nil
}

func (w *world) filterStates(ctx context.Context) (out []api.FilterState) {
	list, _ := w.engine.Status(ctx)
	for _, s := range list {
		out = append(out, api.FilterState{Name: s.Name, Kind: s.Kind, Chains: s.Chains, Verdicts: s.Verdicts, Failures: s.Failures})
	}
	return out
}

func of(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

// runMtactl runs "mtactl [=STATUS] ARGS…" in this process.
func runMtactl(ts *testscript.TestScript, neg bool, args []string) {
	want := 0
	if len(args) > 0 && strings.HasPrefix(args[0], "=") {
		want, _ = strconv.Atoi(args[0][1:])
		args = args[1:]
	}
	for i, a := range args {
		if a == "--token-file" && i+1 < len(args) {
			args[i+1] = ts.MkAbs(args[i+1])
		}
	}
	t := &tool{in: strings.NewReader(""), out: ts.Stdout(), err: ts.Stderr(), getenv: ts.Getenv, args: args}
	if got := t.run(context.Background()); got != want || neg {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// putMail is "mail [stage=S] [file=F] SENDER RECIPIENT…"; it sets ID and ID1, ID2 …
func putMail(ts *testscript.TestScript, neg bool, args []string) {
	w := of(ts)
	content, stage := "Subject: hello\r\n\r\nbody\r\n", ""
	for strings.Contains(args[0], "=") {
		switch k, v, _ := strings.Cut(args[0], "="); k {
		case "stage":
			stage = v
		case "file":
			if content = odd; v != "odd.eml" {
				content = ts.ReadFile(v)
			}
		}
		args = args[1:]
	}
	env := queue.Envelope{ReversePath: strings.Trim(args[0], "<>")}
	for _, a := range args[1:] {
		if s, err := strconv.Unquote(`"` + a + `"`); err == nil {
			a = s
		}
		env.Recipients = append(env.Recipients, queue.Recipient{Path: a, Transport: "smtp", NextHop: a[strings.LastIndex(a, "@")+1:]})
	}
	m, err := w.q.Create(context.Background(), env, queue.CreateOptions{Chain: "in", Stage: stage, Trace: func(queue.ID) []byte {
		return []byte("Received: by mx.example.org\r\n")
	}})
	ts.Check(err)
	_, err = io.WriteString(m, content)
	ts.Check(err)
	it, err := m.Commit(context.Background())
	ts.Check(err)
	w.mails++
	ts.Setenv("ID", string(it.ID))
	ts.Setenv(fmt.Sprintf("ID%d", w.mails), string(it.ID))
}

// odd is the file odd.eml: octets that cannot stand in a script.
const odd = "Subject: hello\r\n\r\ncaf\xe9 a literal \\temp and\ta tab\r\n\x1b]0;owned\a \x00\xff \u202egnp.exe\r\nlast"

// judgeMail is "judge FILTER accept [HEADER VALUE]", "judge FILTER reject", "judge
// FILTER replace body", or "judge FILTER quarantine REASON SCORE [SECONDS]".
func judgeMail(ts *testscript.TestScript, neg bool, args []string) {
	w := of(ts)
	claims, err := w.engine.Claim(context.Background(), filter.ClaimRequest{Filter: args[0], Max: 1})
	ts.Check(err)
	if len(claims) != 1 {
		ts.Fatalf("nothing to judge")
	}
	v := filterproto.Verdict{Disposition: filterproto.Disposition(args[1])}
	switch {
	case args[1] == "quarantine":
		v = heldBy(ts, args[2:])
	case args[1] == "replace":
		v = filterproto.Verdict{Disposition: filterproto.Accept, Edits: []filterproto.Edit{{Op: filterproto.BodyReplace, Body: []byte("new \x1b[31mbody \xe9\x00")}}}
	case len(args) > 3:
		if s, err := strconv.Unquote(`"` + args[3] + `"`); err == nil {
			args[3] = s
		}
		v.Edits = []filterproto.Edit{{Op: filterproto.HeaderAdd, Name: args[2], Value: args[3]}}
	}
	_, err = w.engine.Judge(context.Background(), args[0], claims[0].Token, "", v)
	ts.Check(err)
}

func heldBy(ts *testscript.TestScript, args []string) filterproto.Verdict {
	reason, err := strconv.Unquote(`"` + args[0] + `"`)
	ts.Check(err)
	v := filterproto.Verdict{Disposition: filterproto.Accept, Quarantine: &filterproto.Quarantine{Reason: reason}}
	v.Score, err = strconv.ParseFloat(args[1], 64)
	ts.Check(err)
	if len(args) > 2 {
		v.Quarantine.Seconds, err = strconv.ParseInt(args[2], 10, 64)
		ts.Check(err)
		v.Quarantine.Then = filterproto.ThenDelete
	}
	return v
}

// failMail is "fail REPLY": the next delivery fails so, transiently.
func failMail(ts *testscript.TestScript, neg bool, args []string) {
	w := of(ts)
	claims, err := w.q.Claim(context.Background(), queue.ClaimSpec{From: queue.Incoming, Max: 1, Lease: time.Minute})
	ts.Check(err)
	if len(claims) != 1 {
		ts.Fatalf("nothing to deliver")
	}
	reply, err := strconv.Unquote(`"` + args[0] + `"`)
	ts.Check(err)
	_, err = w.q.Apply(context.Background(), queue.Txn{Token: claims[0].Token, By: "qmgr", Ops: []queue.Op{
		queue.UpdateRecipients{Updates: []queue.RecipientUpdate{{Attempted: true, Reply: reply}}},
		queue.Move{To: queue.Deferred, NextAt: w.clock.Now().Add(10 * time.Minute)},
	}})
	ts.Check(err)
}

func advanceClock(ts *testscript.TestScript, neg bool, args []string) {
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	of(ts).clock.Advance(d)
}
