package smtpd

import (
	"context"
	"strings"
	"testing"
	"time"

	"mtad/internal/intake"
	"mtad/queue"
)

func planned(p intake.Plan) func(*Options, *intake.Options) {
	return func(o *Options, in *intake.Options) {
		o.Chain = "c"
		in.Plan = func(string) intake.Plan { return p }
	}
}

// claimed waits for the filter's turn.
func (d *door) claimed() queue.Claim {
	d.t.Helper()
	list, err := d.q.Claim(context.Background(), queue.ClaimSpec{From: queue.Unfiltered, Stage: "f", Holder: "test", Max: 1, Lease: time.Minute, Wait: 20 * time.Second})
	if err != nil || len(list) != 1 {
		d.t.Fatalf("claims %v, %v", list, err)
	}
	return list[0]
}

func (d *door) judge(c queue.Claim, ops ...queue.Op) {
	d.t.Helper()
	if _, err := d.q.Apply(context.Background(), queue.Txn{Token: c.Token, By: "filter:f", Ops: ops}); err != nil {
		d.t.Fatal(err)
	}
}

func TestInlineAcceptIs250(t *testing.T) {
	d := openDoor(t, planned(intake.Plan{Stage: "f", Timing: intake.Inline}))
	p := d.inData()
	p.send("x\r\n.\r\n")
	d.judge(d.claimed(), queue.Move{To: queue.Incoming})
	p.want("250 2.0.0 ok, queued as ")
	if it := d.wantContent("x\r\n"); it.State != queue.Incoming {
		t.Errorf("state %v", it.State)
	}
}

func TestInlineRejectIsTheReply(t *testing.T) {
	for verdict, want := range map[string]string{
		"550 5.7.1 no spam":  "550 5.7.1 no spam\r\n",
		"451 4.7.1 later":    "451 4.7.1 later\r\n",
		"":                   "550 5.7.1 message rejected\r\n",
		"250 2.0.0 not this": "550 5.7.1 message rejected\r\n",
	} {
		d := openDoor(t, planned(intake.Plan{Stage: "f", Timing: intake.Inline}))
		p := d.inData()
		p.send("x\r\n.\r\nNOOP\r\n")
		d.judge(d.claimed(), queue.Finish{Disposition: queue.Rejected, Reply: verdict})
		if got := p.reply(); got != want {
			t.Errorf("%q: reply %q", verdict, got)
		}
		p.want("250")
		d.wantMessages(0)
	}
}

func TestInlineWithoutVerdictIs451AndNothingIsKept(t *testing.T) {
	d := openDoor(t, planned(intake.Plan{Stage: "f", Timing: intake.Inline, Wait: 20 * time.Millisecond}))
	p := d.inData()
	p.talk("> x\n> .\n< 451 4.7.1\n> NOOP\n< 250")
	d.wantMessages(0)
}

func TestInlineThenParkIs250WithoutVerdict(t *testing.T) {
	d := openDoor(t, planned(intake.Plan{Stage: "f", Timing: intake.InlineThenPark, Wait: 20 * time.Millisecond}))
	p := d.inData()
	p.talk("> x\n> .\n< 250 2.0.0 ok, queued\n> NOOP\n< 250")
	if it := d.wantContent("x\r\n"); it.State != queue.Unfiltered || it.Staged {
		t.Errorf("item %+v", it)
	}
}

func TestClientThatHangsUpBeforeTheVerdictLeavesNothing(t *testing.T) {
	d := openDoor(t, planned(intake.Plan{Stage: "f", Timing: intake.Inline}))
	p := d.inData()
	p.send("x\r\n.\r\n")
	c := d.claimed()
	p.conn.Close()
	waitOpen(t, d, 0)
	if _, err := d.q.Apply(context.Background(), queue.Txn{Token: c.Token, Ops: []queue.Op{queue.Move{To: queue.Incoming}}}); err == nil {
		t.Error("a verdict on a message that does not exist was taken")
	}
	d.wantMessages(0)
}

func TestAfterQueuePlanStandsInUnfiltered(t *testing.T) {
	d := openDoor(t, planned(intake.Plan{Stage: "f", Timing: intake.After}))
	d.inData().talk("> x\n> .\n< 250")
	if it := d.wantContent("x\r\n"); it.State != queue.Unfiltered || it.Stage != "f" || it.Chain != "c" {
		t.Errorf("item %+v", it)
	}
}

func TestRoutesRefuseAtRCPT(t *testing.T) {
	d := openDoor(t, func(_ *Options, in *intake.Options) {
		in.Route = func(path string) (string, string, error) {
			switch {
			case strings.HasPrefix(path, "none@"):
				return "error", "5.1.1 no such user", nil
			case strings.HasPrefix(path, "later@"):
				return "error", "4.2.1 busy", nil
			case strings.HasPrefix(path, "broken@"):
				return "", "", context.DeadlineExceeded
			}
			return "maildir", "alice", nil
		}
	})
	p := d.ready()
	p.talk(`> MAIL FROM:<>
< 250
> RCPT TO:<none@example.org>
< 550 5.1.1 no such user
> RCPT TO:<later@example.org>
< 450 4.2.1 busy
> RCPT TO:<broken@example.org>
< 451 4.3.0
> RCPT TO:<alice@example.org>
< 250
> DATA
< 354
> .
< 250`)
	if r := d.wantMessages(1)[0].Envelope.Recipients; len(r) != 1 || r[0].Transport != "maildir" || r[0].NextHop != "alice" {
		t.Errorf("recipients %+v", r)
	}
}

func TestMailLoopIsRefused(t *testing.T) {
	d := openDoor(t, func(_ *Options, in *intake.Options) { in.MaxReceived = 3 })
	p := d.inData()
	field := "Received: from a by b; x\r\n"
	p.send(strings.Repeat(field, 3) + "\r\nReceived: in the body\r\n.\r\n")
	p.talk("< 250\n" + toUs + "> DATA\n< 354")
	p.send(strings.Repeat(field, 4) + "\r\n.\r\n")
	p.want("554 5.4.6")
	d.wantMessages(1)
}
