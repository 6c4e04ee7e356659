package milterfilter

import (
	"context"
	"strings"
	"testing"

	"mtad/internal/filter"
	"mtad/internal/milter"
	"mtad/internal/milter/miltertest"
	"mtad/internal/smtp"
	"mtad/queue"
)

// stage is one question to a gate.
type stage func(*Dialogue) *smtp.Reply

var theClient = envelope().Client

func connecting(ctx context.Context) stage {
	return func(d *Dialogue) *smtp.Reply { return d.Connect(ctx, &theClient) }
}

func helo(d *Dialogue) *smtp.Reply { return d.Helo(&theClient) }
func mail(d *Dialogue) *smtp.Reply { e := envelope(); return d.Mail(&e) }
func rcpt(d *Dialogue) *smtp.Reply { return d.Rcpt(&queue.Recipient{Path: "rcpt@example.net"}) }
func data(d *Dialogue) *smtp.Reply { return d.Data() }
func reset(d *Dialogue) *smtp.Reply {
	d.Reset()
	return nil
}

func guardOf(t *testing.T, s *miltertest.Server, on map[filter.Class]filter.Action) Guard {
	t.Helper()
	f, err := New(Options{Milter: milter.Options{Network: s.Network, Address: s.Address}})
	if err != nil {
		t.Fatal(err)
	}
	return Guard{Name: "m", Filter: f, Failure: on}
}

// talked runs stages and returns the replies, "-" for none.
func talked(t *testing.T, g *Gate, stages ...stage) string {
	t.Helper()
	d := g.Open()
	defer d.Close()
	var got []string
	for _, s := range stages {
		if r := s(d); r != nil {
			got = append(got, r.String())
		} else {
			got = append(got, "-")
		}
	}
	return strings.Join(got, ", ")
}

func TestGateRefusesWithTheMiltersReply(t *testing.T) {
	for command, name := range map[byte]string{'C': "connect", 'H': "helo", 'M': "mail", 'R': "rcpt", 'T': "data"} {
		for _, c := range []struct {
			answer         miltertest.Packet
			first, further string
		}{
			{miltertest.Packet{Command: 'r'}, "554 5.7.1 refused by policy", "550 5.7.1 refused by policy"},
			{miltertest.Packet{Command: 't'}, "421 4.7.1 cannot be checked now, try again later", "451 4.7.1 cannot be checked now, try again later"},
			{miltertest.Packet{Command: '4'}, "421 4.3.2 closing connection", "421 4.3.2 closing connection"},
			{mod('y', "450 4.2.0 greylisted"), "450 4.2.0 greylisted", "450 4.2.0 greylisted"},
			{miltertest.Packet{Command: 'a'}, "-", "-"},
			{miltertest.Packet{Command: 'd'}, "-", "-"},
		} {
			t.Run(name+" "+string(c.answer.Command), func(t *testing.T) {
				s := miltertest.Start(t, "tcp")
				s.Answer = answering(command, c.answer)
				stages := []stage{connecting(t.Context()), helo, mail, rcpt, data}
				n := strings.IndexByte("CHMRT", command)
				got := talked(t, NewGate(nil, guardOf(t, s, nil)), stages[:n+1]...)
				want := c.further
				if n == 0 {
					want = c.first
				}
				if want = strings.Repeat("-, ", n) + want; got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			})
		}
	}
}

func TestGateRefusesOneRecipientAndTakesTheNext(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	s.Answer = func(p miltertest.Packet) packets {
		if strings.HasPrefix(p.Data, "<no@") {
			return packets{{Command: 'r'}}
		}
		return nil
	}
	no := func(d *Dialogue) *smtp.Reply { return d.Rcpt(&queue.Recipient{Path: "no@example.net"}) }
	got := talked(t, NewGate(nil, guardOf(t, s, nil)), connecting(t.Context()), helo, mail, rcpt, no, rcpt, data)
	if got != "-, -, -, -, 550 5.7.1 refused by policy, -, -" {
		t.Error(got)
	}
}

func TestMilterThatHasHeardEnoughIsNotAskedAgain(t *testing.T) {
	for answer, want := range map[byte]string{'C': "C", 'H': "CH", 'M': "CHMAMA", 'R': "CHMRAMRA"} {
		s := miltertest.Start(t, "tcp")
		s.Answer = answering(answer, miltertest.Packet{Command: 'a'})
		talked(t, NewGate(nil, guardOf(t, s, nil)), connecting(t.Context()), helo, mail, rcpt, data, reset, mail, rcpt, data, reset)
		s.Quiet()
		if got := strings.TrimSuffix(s.Commands(), "Q"); got != want {
			t.Errorf("accepted at %c: asked %s, want %s", answer, got, want)
		}
	}
}

func TestGateAsksItsMiltersInOrderUntilOneRefuses(t *testing.T) {
	one, two, three := miltertest.Start(t, "tcp"), miltertest.Start(t, "tcp"), miltertest.Start(t, "tcp")
	two.Answer = answering('R', mod('y', "550 5.1.1 two"))
	g := NewGate(nil, guardOf(t, one, nil), guardOf(t, two, nil), guardOf(t, three, nil))
	if got := talked(t, g, connecting(t.Context()), helo, mail, rcpt); got != "-, -, -, 550 5.1.1 two" {
		t.Error(got)
	}
	if !strings.HasPrefix(one.Commands(), "CHMR") || strings.Contains(three.Commands(), "R") {
		t.Errorf("asked %s and %s", one.Commands(), three.Commands())
	}
}

func TestLostMilterFollowsTheFailureMatrixForTheRestOfTheSession(t *testing.T) {
	for action, want := range map[filter.Action]string{
		filter.Park:         "-, -, -, -, -, -",
		filter.Quarantine:   "-, -, -, -, -, -",
		filter.AcceptMarked: "-, -, -, -, -, -",
		filter.Tempfail:     "-, -, 451 4.7.1 cannot be checked now, try again later, -, 451 4.7.1 cannot be checked now, try again later, -",
		filter.Reject:       "-, -, 554 5.7.0 cannot be checked, -, 554 5.7.0 cannot be checked, -",
	} {
		s := miltertest.Start(t, "tcp")
		s.Answer = answering('M', miltertest.Packet{Hangup: true})
		g := NewGate(nil, guardOf(t, s, map[filter.Class]filter.Action{filter.Crash: action}))
		if got := talked(t, g, connecting(t.Context()), helo, mail, reset, mail, reset); got != want {
			t.Errorf("%s: got %s, want %s", action, got, want)
		}
	}
}

func TestUnreachableMilterTempfailsTheConnectionWhereConfigured(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	s.Close()
	g := NewGate(nil, guardOf(t, s, map[filter.Class]filter.Action{filter.Unreachable: filter.Tempfail}))
	if got := talked(t, g, connecting(t.Context())); got != "421 4.7.1 cannot be checked now, try again later" {
		t.Error(got)
	}
}

func TestHeloThatCameWithXCLIENTIsToldBeforeMail(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	talked(t, NewGate(nil, guardOf(t, s, nil)), connecting(t.Context()), mail, reset, mail)
	if got := s.Commands(); !strings.HasPrefix(got, "CHMAM") {
		t.Error(got)
	}
}

func TestClientThatTakesAnothersPlaceIsANewConnection(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	talked(t, NewGate(nil, guardOf(t, s, nil)), connecting(t.Context()), helo, connecting(t.Context()), helo)
	s.Quiet()
	if got := strings.ReplaceAll(s.Commands(), "Q", ""); got != "CHCH" || s.Connections() != 2 {
		t.Errorf("%s over %d connections", got, s.Connections())
	}
}
