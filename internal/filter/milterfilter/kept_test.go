package milterfilter

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mtad/internal/filter"
	"mtad/internal/milter"
	"mtad/internal/milter/miltertest"
	"mtad/queue"
)

const short = "Subject: x\r\n\r\nbody\r\n"

func TestMessagesOfOneClientFollowEachOther(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	r := newRig(t, nil, at(s))
	other := envelope()
	other.Client.Port++
	for _, env := range []queue.Envelope{envelope(), envelope(), other, envelope()} {
		if it := r.one(env, short); it.Outcome != nil {
			t.Fatalf("got %+v", it.Outcome)
		}
	}
	const message = "MRTLNBE"
	if got, want := s.Commands(), "CH"+message+message+"CH"+message+message; got != want || s.Connections() != 2 {
		t.Errorf("got %s over %d connections, want %s over 2", got, s.Connections(), want)
	}
}

func TestNothingOfAMessageShowsInTheNext(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	s.Answer = answering('E', mod('h', "X-Secret", "added"), miltertest.Packet{Command: 'c'})
	r := newRig(t, nil, at(s))
	first := envelope("secret@example.net")
	first.ReversePath, first.EnvID, first.Client.SASLUser, first.Client.SizeHint = "secret@example.org", "secret", "secret", 4711
	it := r.one(first, "X-Secret: secret\r\n\r\nsecret\r\n")
	n := len(s.Seen())
	second := r.one(envelope(), short)
	for _, p := range s.Seen()[n:] {
		if strings.Contains(p.Data, "secret") || strings.Contains(p.Data, string(it.ID)) {
			t.Errorf("told of the message before: %c %q", p.Command, p.Data)
		}
	}
	if got := r.content(second.ID); strings.Count(got, "X-Secret") != 1 || s.Connections() != 1 {
		t.Errorf("got %q over %d connections", got, s.Connections())
	}
}

func TestRefusalLeavesTheConversationToTheNextMessage(t *testing.T) {
	for command, want := range map[byte]string{'M': "CHMAMRTLNBE", 'R': "CHMRAMRTLNBE", 'T': "CHMRTAMRTLNBE", 'L': "CHMRTLAMRTLNBE", 'E': "CHMRTLNBEMRTLNBE"} {
		s := miltertest.Start(t, "tcp")
		var refused atomic.Bool
		s.Answer = func(p miltertest.Packet) packets {
			if p.Command == command && refused.CompareAndSwap(false, true) {
				return packets{{Command: 'r'}}
			}
			return nil
		}
		r := newRig(t, nil, at(s))
		r.judge(envelope(), short)
		if it := r.one(envelope(), short); it.Outcome != nil {
			t.Errorf("%c: got %+v", command, it.Outcome)
		}
		if got := s.Commands(); got != want {
			t.Errorf("%c: got %s, want %s", command, got, want)
		}
	}
}

func TestConversationIsNotKeptAfterTheseAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		command byte
		answer  packets
	}{
		"shutdown":               {'E', packets{{Command: '4'}}},
		"accepts the connection": {'C', packets{{Command: 'a'}}},
		"accepts the HELO":       {'H', packets{{Command: 'a'}}},
		"hangs up":               {'E', packets{{Command: 'c'}, {Raw: "", Hangup: true}}},
		"speaks out of turn":     {'E', packets{{Raw: "\x00\x00\x00\x01c\x00\x00\x00\x01r"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := miltertest.Start(t, "tcp")
			s.Answer = answering(c.command, c.answer...)
			r := newRig(t, nil, at(s))
			r.judge(envelope(), short)
			s.SetAnswer(nil)
			if it := r.one(envelope(), short); it.Outcome != nil || s.Connections() != 2 {
				t.Errorf("got %+v over %d connections", it.Outcome, s.Connections())
			}
		})
	}
}

// The milter hangs up on the second message of a connection before it says
// anything: that is no failure.
func TestConversationThatIsGoneIsNoFailure(t *testing.T) {
	for _, command := range "MRTLNBE" {
		s := miltertest.Start(t, "unix")
		s.Protocol = 1<<7 | 1<<12 | 1<<13 | 1<<14 | 1<<15 | 1<<16 | 1<<18 | 1<<19 // answers the end alone
		var mails atomic.Int32
		s.Answer = func(p miltertest.Packet) packets {
			if p.Command == 'M' {
				mails.Add(1)
			}
			if p.Command == byte(command) && mails.Load() == 2 {
				mails.Add(1)
				return packets{{Hangup: true}}
			}
			return nil
		}
		r := newRig(t, map[filter.Class]filter.Action{filter.Crash: filter.Reject, filter.Unreachable: filter.Reject}, at(s))
		for range 2 {
			if it := r.one(envelope(), short); it.Outcome != nil || len(it.Verdicts) != 1 {
				t.Errorf("%c: got %+v, %d verdicts", command, it.Outcome, len(it.Verdicts))
			}
		}
		if s.Connections() != 2 {
			t.Errorf("%c: %d connections, want 2", command, s.Connections())
		}
	}
}

// Once it has said something of the message, it is lost in its middle.
func TestKeptConversationLostInAMessageIsAFailure(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	r := newRig(t, map[filter.Class]filter.Action{filter.Crash: filter.Reject}, at(s))
	r.one(envelope(), short)
	s.SetAnswer(answering('E', miltertest.Packet{Hangup: true}))
	if it := r.one(envelope(), short); it.Outcome == nil || it.Outcome.Disposition != queue.Rejected || s.Connections() != 1 {
		t.Errorf("got %+v over %d connections", it.Outcome, s.Connections())
	}
}

func TestKeptConversationsAreBounded(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	client, err := milter.New(milter.Options{Network: "tcp", Address: s.Address})
	if err != nil {
		t.Fatal(err)
	}
	k := &kept{max: 3}
	for i := range 10 {
		session, err := client.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		k.put(&conversation{s: session, with: greeted{helo: fmt.Sprint(i)}, since: time.Now()})
		k.put(&conversation{s: must(client.Open(t.Context())), with: greeted{helo: "old"}})
	}
	if n := len(k.list); n > 3 {
		t.Errorf("%d are kept, want 3", n)
	}
	k.close()
	k.put(&conversation{s: must(client.Open(t.Context())), since: time.Now()})
	s.Quiet()
}

func must(s *milter.Session, err error) *milter.Session {
	if err != nil {
		panic(err)
	}
	return s
}

func TestFilterThatEndsClosesWhatItKept(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	var wg sync.WaitGroup
	f, err := New(Options{Milter: milter.Options{Network: "tcp", Address: s.Address}})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		c := &conversation{s: must(f.client.Open(t.Context())), since: time.Now()}
		wg.Go(func() { f.kept.put(c) })
	}
	wg.Go(func() { _ = f.Close() })
	wg.Wait()
	s.Quiet()
}

func TestOtherClientsFollowInOneConnectionWhereAskedFor(t *testing.T) {
	for name, c := range map[string]struct {
		protocol uint32
		end      byte
		hangup   bool
		hang     bool
		want     string
		n        int
	}{
		"continue":      {0, 'c', false, false, "CHMRTLNBEKCHMRTLNBEKCHMRTLNBE", 1},
		"accept":        {0, 'a', false, false, "CHMRTLNBECHMRTLNBECHMRTLNBE", 3},
		"leading space": {1 << 20, 'c', false, false, "CHMRTLNBECHMRTLNBECHMRTLNBE", 3},
		"hangs up":      {0, 'c', true, false, "CHMRTLNBEKCHMRTLNBECHMRTLNBE", 3},
		"is silent":     {0, 'c', false, true, "CHMRTLNBECHMRTLNBECHMRTLNBE", 3},
	} {
		t.Run(name, func(t *testing.T) {
			s := miltertest.Start(t, "tcp")
			s.Protocol = c.protocol
			s.Answer = func(p miltertest.Packet) packets {
				switch p.Command {
				case 'E':
					return packets{{Command: c.end}}
				case 'K':
					return packets{{Hangup: c.hangup}}
				}
				return nil
			}
			f, err := New(Options{QuitNC: true, Milter: milter.Options{Network: "tcp", Address: s.Address, Dial: silenced(c.hang)}})
			if err != nil {
				t.Fatal(err)
			}
			r := newRigOf(t, map[filter.Class]filter.Action{filter.Timeout: filter.Reject, filter.Crash: filter.Reject, filter.Unreachable: filter.Reject}, f)
			for i := range 3 {
				env := envelope()
				env.Client.Port = uint16(5000 + i)
				if it := r.one(env, short); it.Outcome != nil {
					t.Errorf("message %d: %+v", i, it.Outcome)
				}
			}
			if got := s.Commands(); got != c.want || s.Connections() != c.n {
				t.Errorf("got %s over %d connections, want %s over %d", got, s.Connections(), c.want, c.n)
			}
		})
	}
}

// silenced makes connections on which no answer comes in time behind SMFIC_QUIT_NC.
func silenced(yes bool) dialer {
	if !yes {
		return nil
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		return &silent{Conn: c}, err
	}
}

type silent struct {
	net.Conn
	now bool
}

func (c *silent) Write(p []byte) (int, error) {
	c.now = c.now || bytes.HasPrefix(p, []byte("\x00\x00\x00\x01K"))
	if c.now {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *silent) Read(p []byte) (int, error) {
	if c.now {
		return 0, os.ErrDeadlineExceeded
	}
	return c.Conn.Read(p)
}
