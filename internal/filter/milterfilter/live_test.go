package milterfilter

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"mtad/internal/filter"
	"mtad/internal/milter"
	"mtad/internal/milter/miltertest"
	"mtad/internal/smtp"
	"mtad/queue"
)

// liveRig is a rig whose last milter is asked in the session, too.
type liveRig struct {
	*rig
	d    *Dialogue
	gate *Gate
	ctx  context.Context
}

func newLiveRig(t *testing.T, on map[filter.Class]filter.Action, addresses ...string) *liveRig {
	t.Helper()
	live := &Live{}
	r := newRigWith(t, live, nil, on, addresses...)
	last := len(addresses) - 1
	network, address, _ := strings.Cut(addresses[last], ":")
	f, err := New(Options{Hostname: "mx.example.net", Live: live, Milter: milter.Options{Network: network, Address: address}})
	if err != nil {
		t.Fatal(err)
	}
	l := &liveRig{rig: r, ctx: t.Context(), gate: NewGate(nil, Guard{Name: nameOf(last), Filter: f, Failure: on})}
	l.d = l.gate.Open()
	t.Cleanup(func() { l.d.Close() })
	return l
}

// greet begins a session.
func (l *liveRig) greet(env queue.Envelope) {
	l.t.Helper()
	c := env.Client
	l.none(l.d.Connect(l.ctx, &c))
	l.none(l.d.Helo(&c))
}

func (l *liveRig) none(r *smtp.Reply) {
	l.t.Helper()
	if r != nil {
		l.t.Fatalf("refused: %s", r)
	}
}

// envelope tells the milter of a transaction, as far as DATA.
func (l *liveRig) envelope(env queue.Envelope) {
	l.t.Helper()
	l.none(l.d.Mail(&env))
	for i := range env.Recipients {
		l.none(l.d.Rcpt(&env.Recipients[i]))
	}
	l.none(l.d.Data())
}

// send takes a message through session and chain.
func (l *liveRig) send(env queue.Envelope, content string) []queue.Item {
	l.t.Helper()
	l.envelope(env)
	items := l.judged(env, content)
	l.d.Reset()
	return items
}

// judged gives the content of a message whose envelope was told.
func (l *liveRig) judged(env queue.Envelope, content string) []queue.Item {
	l.t.Helper()
	w := l.open(env, content)
	l.d.Judged(w.ID())
	return l.wait(w)
}

func (l *liveRig) wait(w queue.Writer) []queue.Item {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	defer cancel()
	if err := w.Stage(ctx); err != nil {
		l.t.Fatal(err)
	}
	items, err := w.Wait(ctx)
	if err != nil {
		l.t.Fatal(err)
	}
	if _, err := w.Commit(ctx); err != nil {
		l.t.Fatal(err)
	}
	return items
}

func TestMessagesGoOnInTheConversationOfTheirSession(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	s.Answer = answering('E', mod('h', "X-Seen", "yes"), miltertest.Packet{Command: 'c'})
	l := newLiveRig(t, nil, at(s))
	l.greet(envelope())
	for range 2 {
		items := l.send(envelope("one@example.net", "two@example.net"), short)
		if got := l.content(items[0].ID); len(items) != 1 || got != "Subject: x\r\nX-Seen: yes\r\n\r\nbody\r\n" {
			t.Errorf("got %q", got)
		}
	}
	if got, want := s.Commands(), "CHMRRTLNBEMRRTLNBE"; got != want || s.Connections() != 1 {
		t.Errorf("got %s over %d connections, want %s over one", got, s.Connections(), want)
	}
}

func TestQueueIDIsAMacroFromTheContentOn(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	l := newLiveRig(t, nil, at(s))
	l.greet(envelope())
	for range 2 {
		n := len(s.Seen())
		id := string(l.send(envelope(), short)[0].ID)
		var told string
		for _, p := range s.Seen()[n:] {
			if p.Command == 'D' && strings.HasSuffix(p.Data[1:], "i\x00"+id+"\x00") {
				told += p.Data[:1]
			} else if p.Command == 'D' && strings.Contains(p.Data, "i\x00") {
				t.Errorf("an ID at %q", p.Data)
			}
		}
		if told != "NE" {
			t.Errorf("the queue ID was told at %q, want at end of headers and end", told)
		}
	}
}

func TestLiveConversationShowsTheEditsOfEarlierFilters(t *testing.T) {
	live, first := miltertest.Start(t, "tcp"), miltertest.Start(t, "tcp")
	first.Answer = answering('E', mod('h', "X-First", "was here"), miltertest.Packet{Command: 'c'})
	l := newLiveRig(t, nil, at(first), at(live))
	l.greet(envelope())
	l.send(envelope(), short)
	if got := shown(live.Seen(), 'L'); got != "Subject\x00x\x00|X-First\x00was here\x00" || live.Commands() != "CHMRTLLNBE" {
		t.Errorf("shown %q, %s", got, live.Commands())
	}
}

func shown(seen packets, command byte) string {
	var list []string
	for _, p := range seen {
		if p.Command == command {
			list = append(list, p.Data)
		}
	}
	return strings.Join(list, "|")
}

// What a replay would tell differently has to be told by one.
func TestEnvelopeThatIsNotTheSessionsIsReplayed(t *testing.T) {
	for name, change := range map[string]func(*queue.Envelope){
		"reverse-path": func(e *queue.Envelope) { e.ReversePath = "other@example.org" },
		"recipient":    func(e *queue.Envelope) { e.Recipients[0].Path = "other@example.net" },
		"fewer":        func(e *queue.Envelope) { e.Recipients = e.Recipients[:1] },
		"more": func(e *queue.Envelope) {
			e.Recipients = append(e.Recipients, e.Recipients[0])
			e.Recipients[2].Path = "x@example.net"
		},
		"parameters": func(e *queue.Envelope) { e.Recipients[0].Notify = queue.NotifyNever },
		"login":      func(e *queue.Envelope) { e.Client.SASLUser = "somebody" },
		"client":     func(e *queue.Envelope) { e.Client.Address = "192.0.2.99" },
		"helo":       func(e *queue.Envelope) { e.Client.Helo = "other.example.org" },
	} {
		t.Run(name, func(t *testing.T) {
			s := miltertest.Start(t, "tcp")
			l := newLiveRig(t, nil, at(s))
			l.greet(envelope())
			told := envelope("one@example.net", "two@example.net")
			l.envelope(told)
			is := envelope("one@example.net", "two@example.net")
			change(&is)
			l.judged(is, short)
			l.d.Reset()
			l.send(envelope(), short)
			if got := s.Commands(); strings.Count(got, "C") != 2 || strings.Count(got, "E") != 2 || !strings.HasSuffix(got, "AMRTLNBE") {
				t.Errorf("got %s, want a replay, an abort, and a message in the session", got)
			}
		})
	}
}

func TestMilterThatHasHeardEnoughInTheSessionIsTakenAtItsWord(t *testing.T) {
	for command, want := range map[byte]string{'C': "C", 'H': "CH", 'M': "CHMAMA", 'R': "CHMRAMRA", 'T': "CHMRRTAMRRTA"} {
		for answer, outcome := range map[byte]string{'a': "", 'd': "discarded"} {
			s := miltertest.Start(t, "tcp")
			s.Answer = answering(command, miltertest.Packet{Command: answer})
			l := newLiveRig(t, nil, at(s))
			l.greet(envelope())
			for range 2 {
				it := l.send(envelope("one@example.net", "two@example.net"), short)[0]
				if got := it.Outcome; outcome == "" && got != nil || outcome != "" && (got == nil || got.Disposition.String() != outcome) {
					t.Errorf("%c at %c: got %+v, want %q", answer, command, got, outcome)
				}
			}
			l.d.Close()
			s.Quiet()
			if got := strings.TrimSuffix(s.Commands(), "Q"); got != want || s.Connections() != 1 {
				t.Errorf("%c at %c: asked %s over %d connections, want %s", answer, command, got, s.Connections(), want)
			}
		}
	}
}

func TestLiveConversationThatIsGoneIsReplayed(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	var once sync.Once
	s.Answer = func(p miltertest.Packet) (out packets) {
		if p.Command == 'L' {
			once.Do(func() { out = packets{{Hangup: true}} })
		}
		return out
	}
	l := newLiveRig(t, map[filter.Class]filter.Action{filter.Crash: filter.Reject}, at(s))
	l.greet(envelope())
	for range 2 {
		if it := l.send(envelope(), short)[0]; it.Outcome != nil || len(it.Verdicts) != 1 {
			t.Errorf("got %+v, %d verdicts", it.Outcome, len(it.Verdicts))
		}
		l.d.Connect(l.ctx, &theClient)
		l.d.Helo(&theClient)
	}
}

func TestLiveMilterLostInTheContentFollowsTheFailureMatrix(t *testing.T) {
	for action, want := range map[filter.Action]queue.Disposition{filter.Reject: queue.Rejected, filter.Tempfail: queue.Rejected} {
		s := miltertest.Start(t, "tcp")
		s.Answer = answering('E', mod('h', "X-Half", "made"), miltertest.Packet{Hangup: true})
		l := newLiveRig(t, map[filter.Class]filter.Action{filter.Crash: action}, at(s))
		l.greet(envelope())
		if it := l.send(envelope(), short)[0]; it.Outcome == nil || it.Outcome.Disposition != want || strings.Contains(l.content(it.ID), "X-Half") {
			t.Errorf("%s: got %+v", action, it.Outcome)
		}
		s.SetAnswer(nil)
		if it := l.send(envelope(), short)[0]; it.Outcome != nil { // by a replay: the session's conversation is lost
			t.Errorf("%s: then %+v", action, it.Outcome)
		}
	}
}

// The client goes while the milter has the message: nobody waits, nothing is kept
// and the conversation ends.
func TestClientThatGoesAwayLeavesNoConversation(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	at0, goOn := make(chan struct{}), make(chan struct{})
	s.Answer = func(p miltertest.Packet) packets {
		if p.Command == 'E' {
			close(at0)
			<-goOn
		}
		return nil
	}
	l := newLiveRig(t, nil, at(s))
	ctx, hangUp := context.WithCancel(t.Context())
	l.ctx = ctx
	l.greet(envelope())
	env := envelope()
	l.envelope(env)
	w := l.open(env, short)
	l.d.Judged(w.ID())
	if err := w.Stage(ctx); err != nil {
		t.Fatal(err)
	}
	<-at0
	hangUp()
	if _, err := w.Wait(ctx); err == nil {
		t.Error("a verdict without an answer")
	}
	_ = w.Abort()
	l.d.Reset()
	l.d.Close()
	close(goOn)
	s.Quiet()
	if n := len(l.gate.guards[0].Filter.o.Live.offers); n != 0 {
		t.Errorf("%d offers are left", n)
	}
}

// A message that is not scanned, for the client gave up or the content was bad.
func TestConversationThatNobodyTookGoesOn(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	l := newLiveRig(t, nil, at(s))
	l.greet(envelope())
	l.envelope(envelope())
	w := l.open(envelope(), short)
	l.d.Judged(w.ID())
	_ = w.Abort()
	l.d.Reset()
	l.send(envelope(), short)
	if got := s.Commands(); got != "CHMRTAMRTLNBE" {
		t.Errorf("got %s", got)
	}
}
