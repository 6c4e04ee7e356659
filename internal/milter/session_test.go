package milter

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mtad/internal/milter/miltertest"
)

func open(t *testing.T, s *miltertest.Server) *Session {
	t.Helper()
	c, err := New(Options{Network: s.Network, Address: s.Address})
	if err != nil {
		t.Fatal(err)
	}
	x, err := c.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.Close)
	return x
}

// message leads a session through a short message and returns the last answer.
func message(x *Session, modify func(Modification) error) (a Answer, err error) {
	if modify == nil {
		modify = func(Modification) error { return nil }
	}
	for _, step := range []func() (Answer, error){
		func() (Answer, error) {
			return x.Connect(Peer{Name: "h", Family: '6', Port: 25, Address: "2001:db8::1"})
		},
		func() (Answer, error) { return x.Helo("helo") },
		func() (Answer, error) { return x.Mail("<a@b>", []string{"SIZE=1"}) },
		func() (Answer, error) { return x.Rcpt("<c@d>", nil) },
		x.Data,
		func() (Answer, error) { return x.Header("Subject", " one\n two") },
		x.EndOfHeaders,
		func() (Answer, error) { return x.Body([]byte("body")) },
		func() (Answer, error) { return x.End(modify) },
	} {
		if a, err = step(); err != nil || !a.Through() {
			return a, err
		}
	}
	return a, nil
}

func kindOf(err error) string {
	var e *Error
	if !errors.As(err, &e) {
		return fmt.Sprint(err)
	}
	return e.Kind.String()
}

func TestStepsThatAFilterDoesNotWantAreNotSent(t *testing.T) {
	all := map[string]uint32{"C": noConnect, "H": noHelo, "M": noMail, "R": noRcpt, "T": noData, "L": noHeaders, "N": noEndOfHeaders, "B": noBody}
	for command, bit := range all {
		s := miltertest.Start(t, "tcp")
		s.Protocol = bit
		if _, err := message(open(t, s), nil); err != nil {
			t.Errorf("%s: %v", command, err)
		}
		if want := strings.ReplaceAll("CHMRTLNBE", command, ""); !strings.HasPrefix(s.Commands(), want) {
			t.Errorf("without %s: %s", command, s.Commands())
		}
	}
}

func TestFilterThatAnswersNothingBeforeTheEndIsNotWaitedFor(t *testing.T) {
	s := miltertest.Start(t, "unix")
	s.Protocol = quietConnect | quietHelo | quietMail | quietRcpt | quietData | quietHeaders | quietEOH | quietBody
	x := open(t, s)
	if a, err := message(x, nil); err != nil || a.Action != Continue {
		t.Fatalf("%v %v", a, err)
	}
	if !strings.HasPrefix(s.Commands(), "CHMRTLNBE") {
		t.Errorf("commands %s", s.Commands())
	}
}

func TestOldFilterIsOfferedVersion2(t *testing.T) {
	for name, refuse := range map[string]miltertest.Packet{
		"hangs up": {Hangup: true}, "answers with version 9": {Command: 'O', Data: miltertest.Uint32(9, 0, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			s := miltertest.Start(t, "tcp")
			s.Version, s.Actions = 2, 0x3f
			s.Answer = func(p miltertest.Packet) []miltertest.Packet {
				if p.Command == 'O' && p.Data[3] == 6 {
					return []miltertest.Packet{refuse}
				}
				return nil
			}
			c, _ := New(Options{Network: s.Network, Address: s.Address})
			for range 2 {
				x, err := c.Open(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := message(x, nil); err != nil {
					t.Error(err)
				}
				x.Close()
			}
			if strings.Contains(s.Commands(), "T") {
				t.Error("DATA was sent to a filter of version 2")
			}
			if s.Connections() != 3 {
				t.Errorf("%d connections, want 3: the version is remembered", s.Connections())
			}
		})
	}
}

func TestNegotiationBeyondTheOfferIsRefused(t *testing.T) {
	for name, data := range map[string]string{
		"short": "\x00\x00", "version 1": miltertest.Uint32(1, 0, 0), "version 7": miltertest.Uint32(7, 0, 0),
		"action": miltertest.Uint32(6, 1<<9, 0), "step": miltertest.Uint32(6, 0, 1<<30),
		"list without NUL": miltertest.Uint32(6, 0, 0, 1) + "i", "list of no stage": miltertest.Uint32(6, 0, 0, 7) + "i\x00", "list cut": miltertest.Uint32(6, 0, 0) + "\x00",
		"list twice": miltertest.Uint32(6, 0, 0, 1) + "i\x00" + miltertest.Uint32(1) + "j\x00",
	} {
		s := miltertest.Start(t, "tcp")
		s.Answer = func(p miltertest.Packet) []miltertest.Packet {
			return []miltertest.Packet{{Command: 'O', Data: data}}
		}
		c, _ := New(Options{Network: s.Network, Address: s.Address})
		if _, err := c.Open(t.Context()); kindOf(err) != "protocol" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFilterSaysWhichMacrosItWants(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	s.Actions = actSetMacros
	s.Lists = miltertest.Uint32(uint32(AtMail)) + "i, {mail_addr} nosuch auth_type\x00" + miltertest.Uint32(uint32(AtRcpt)) + "\x00"
	x := open(t, s)
	x.Macros = func(name string) (string, bool) {
		v, ok := map[string]string{"i": "Q1", "{mail_addr}": "", "{auth_type}": "PLAIN", "{rcpt_addr}": "c@d", "j": "mx"}[name]
		return v, ok
	}
	if _, err := message(x, nil); err != nil {
		t.Fatal(err)
	}
	got := map[byte]string{}
	for _, p := range s.Seen() {
		if p.Command == 'D' {
			got[p.Data[0]] = p.Data[1:]
		}
	}
	want := map[byte]string{'C': "j\x00mx\x00", 'M': "i\x00Q1\x00{mail_addr}\x00\x00{auth_type}\x00PLAIN\x00", 'T': "i\x00Q1\x00", 'N': "i\x00Q1\x00", 'E': "i\x00Q1\x00"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHeaderValueKeepsItsSpaceOnlyForThoseWhoAsk(t *testing.T) {
	for _, c := range []struct {
		protocol uint32
		in, want string
	}{
		{0, " one\n two", "one\n two"}, {0, "  one", " one"}, {0, "\tone", "\tone"}, {0, "one", "one"}, {0, "", ""},
		{leadingSpace, " one", " one"}, {leadingSpace, "one", "one"}, {leadingSpace, "", ""},
	} {
		s := miltertest.Start(t, "tcp")
		s.Protocol = c.protocol
		x := open(t, s)
		if _, err := x.Header("X", c.in); err != nil {
			t.Fatal(err)
		}
		if got := s.Seen()[0].Data; got != "X\x00"+c.want+"\x00" {
			t.Errorf("%q: sent %q, want %q", c.in, got, c.want)
		}
	}
}

func TestModificationsAreReadAsTheyAreMeant(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	s.Answer = func(p miltertest.Packet) []miltertest.Packet {
		if p.Command != 'E' {
			return nil
		}
		return []miltertest.Packet{
			{Command: 'p'}, {Command: 'h', Data: "A\x001\x00"}, {Command: 'i', Data: "\x00\x00\x00\x05B\x002\x00"}, {Command: 'm', Data: "\x00\x00\x00\x01C\x00\x00"},
			{Command: 'p'}, {Command: '+', Data: "<r>\x00"}, {Command: '2', Data: "<r>\x00NOTIFY=NEVER\x00"}, {Command: '2', Data: "<r>\x00"}, {Command: '-', Data: "<r>\x00"},
			{Command: 'e', Data: "<s>\x00"}, {Command: 'e', Data: "<s>\x00RET=FULL\x00"}, {Command: 'q', Data: "why\x00"}, {Command: 'b', Data: "\x00body"}, {Command: 'a'},
		}
	}
	var got []string
	a, err := message(open(t, s), func(m Modification) error {
		got = append(got, fmt.Sprintf("%c %d %q %q %q %q %q", m.Kind, m.Index, m.Name, m.Value, m.Path, m.Args, m.Body))
		return nil
	})
	want := `h 0 "A" "1" "" "" ""
i 5 "B" "2" "" "" ""
m 1 "C" "" "" "" ""
+ 0 "" "" "<r>" "" ""
2 0 "" "" "<r>" "NOTIFY=NEVER" ""
2 0 "" "" "<r>" "" ""
- 0 "" "" "<r>" "" ""
e 0 "" "" "<s>" "" ""
e 0 "" "" "<s>" "RET=FULL" ""
q 0 "" "why" "" "" ""
b 0 "" "" "" "" "\x00body"`
	if strings.Join(got, "\n") != want || err != nil || a.Action != Accept {
		t.Errorf("%v %v:\n%s", a, err, strings.Join(got, "\n"))
	}
}

func TestModificationBeforeTheEndIsAnError(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	s.Answer = func(p miltertest.Packet) []miltertest.Packet {
		if p.Command == 'M' {
			return []miltertest.Packet{{Command: 'h', Data: "A\x001\x00"}}
		}
		return nil
	}
	if _, err := message(open(t, s), nil); kindOf(err) != "protocol" {
		t.Error(err)
	}
}

func TestAnswerThatNobodyAskedForIsAnError(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	s.Answer = func(p miltertest.Packet) []miltertest.Packet {
		if p.Command == 'M' {
			return []miltertest.Packet{{Raw: "\x00\x00\x00\x01c\x00\x00\x00\x01c"}}
		}
		return nil
	}
	if _, err := message(open(t, s), nil); kindOf(err) != "protocol" {
		t.Error(err)
	}
}

func TestProgressWithoutEndIsAnError(t *testing.T) {
	s := miltertest.Start(t, "unix")
	s.Answer = func(p miltertest.Packet) []miltertest.Packet {
		if p.Command == 'M' {
			return []miltertest.Packet{{Raw: strings.Repeat("\x00\x00\x00\x01p", maxProgress+1)}}
		}
		return nil
	}
	if _, err := message(open(t, s), nil); kindOf(err) != "protocol" {
		t.Error(err)
	}
}

func TestNextMessageBeginsWithAnAbort(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	x := open(t, s)
	if _, err := x.Mail("<a@b>", nil); err != nil {
		t.Fatal(err)
	}
	if err := x.Abort(); err != nil {
		t.Fatal(err)
	}
	if err := x.Abort(); err != nil { // nothing to end
		t.Fatal(err)
	}
	if _, err := message(x, nil); err != nil {
		t.Fatal(err)
	}
	if got := s.Commands(); !strings.HasPrefix(got, "MACHMRTLNBE") {
		t.Errorf("commands %s", got)
	}
}

func TestHangingUpMeansSomethingElseOnceAMessageBegan(t *testing.T) {
	for command, want := range map[byte]string{'C': "unreachable", 'H': "unreachable", 'M': "lost", 'B': "lost", 'E': "lost"} {
		s := miltertest.Start(t, "tcp")
		s.Answer = func(p miltertest.Packet) []miltertest.Packet {
			if p.Command == command {
				return []miltertest.Packet{{Hangup: true}}
			}
			return nil
		}
		if _, err := message(open(t, s), nil); kindOf(err) != want {
			t.Errorf("%c: %v, want %s", command, err, want)
		}
	}
	gone := miltertest.Start(t, "tcp")
	gone.Close()
	c, _ := New(Options{Network: "tcp", Address: gone.Address})
	if _, err := c.Open(t.Context()); kindOf(err) != "unreachable" {
		t.Error(err)
	}
}

// pipeClient talks to a function over a pipe, in a bubble with its own clock.
func pipeClient(t *testing.T, peer func(net.Conn)) *Client {
	t.Helper()
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	c, err := New(Options{Network: "tcp", Address: "x", Command: 30 * time.Second, Content: time.Minute, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		wg.Go(func() { peer(theirs); theirs.Close() })
		return ours, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// negotiated answers the offer and then reads commands for reply, which gets the
// letter of each.
func negotiated(reply func(c net.Conn, command byte) bool) func(net.Conn) {
	return func(c net.Conn) {
		head := make([]byte, 1<<16)
		for {
			n, err := c.Read(head)
			if err != nil {
				return
			}
			if n > 4 && head[4] == 'O' {
				_, _ = c.Write([]byte("\x00\x00\x00\x0dO" + miltertest.Uint32(6, 0, 0)))
			} else if n > 4 && !reply(c, head[4]) {
				return
			}
		}
	}
}

func TestSilenceEndsAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, err := pipeClient(t, negotiated(func(net.Conn, byte) bool { return true })).Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = x.Helo("x")
		if kindOf(err) != "timeout" || time.Since(began) != 30*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		x.Close()
	})
}

func TestProgressStartsTheTimeAnewAndTheContextEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		x, err := pipeClient(t, negotiated(func(c net.Conn, _ byte) bool {
			for {
				time.Sleep(50 * time.Second) // of the bubble's clock
				if _, err := c.Write([]byte("\x00\x00\x00\x01p")); err != nil {
					return false
				}
			}
		})).Open(ctx)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = x.End(func(Modification) error { return nil })
		if kindOf(err) != "timeout" || time.Since(began) != 10*time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		x.Close()
	})
}
