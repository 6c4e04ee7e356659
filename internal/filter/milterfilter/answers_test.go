package milterfilter

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mtad/internal/filter"
	"mtad/internal/milter/miltertest"
	"mtad/queue"
)

// answering gives one answer to one command.
func answering(command byte, answer ...miltertest.Packet) func(miltertest.Packet) packets {
	return func(p miltertest.Packet) packets {
		if p.Command == command {
			return answer
		}
		return nil
	}
}

func TestEveryAnswerAtEveryStageBecomesItsVerdict(t *testing.T) {
	reply := mod('y', "554 5.7.9 100%% no")
	for _, command := range "CHMTLNBE" {
		for _, c := range []struct {
			answer miltertest.Packet
			want   string // how the message ended; "" when it goes on
		}{
			{miltertest.Packet{Command: 'r'}, "rejected 550 5.7.1 message refused by content policy"},
			{reply, "rejected 554 5.7.9 100% no"},
			{mod('y', "550-5.1.1 one\r\n550 5.1.1 two"), "rejected 550 5.1.1 one two"},
			{mod('y', "451 4.7.1 later"), "rejected 451 4.7.1 later"},
			{miltertest.Packet{Command: 't'}, "rejected 451 4.7.1 message cannot be checked now, try again later"},
			{miltertest.Packet{Command: '4'}, "rejected 451 4.7.1 message cannot be checked now, try again later"},
			{miltertest.Packet{Command: 'f'}, "rejected 451 4.7.1 message cannot be checked now, try again later"},
			{miltertest.Packet{Command: 'd'}, "discarded milter: discard"},
			{miltertest.Packet{Command: 'a'}, ""},
			{miltertest.Packet{Command: 's'}, ""},
		} {
			t.Run(fmt.Sprintf("%c/%c %.3s", command, c.answer.Command, c.answer.Data), func(t *testing.T) {
				s := miltertest.Start(t, "tcp")
				s.Answer = answering(byte(command), c.answer)
				it := newRig(t, nil, at(s)).one(envelope(), plain)
				got := ""
				if it.Outcome != nil {
					got = it.Outcome.Disposition.String() + " " + it.Outcome.Reply
				}
				if got != c.want || got == "" && it.State != queue.Incoming {
					t.Errorf("got %q, %v; want %q", got, it.State, c.want)
				}
			})
		}
	}
}

func TestRefusedRecipientsGetTheirOwnVerdict(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	s.Answer = func(p miltertest.Packet) packets {
		switch {
		case strings.HasPrefix(p.Data, "<no@"):
			return packets{mod('y', "550 5.1.1 not here")}
		case p.Command == 'E':
			return packets{mod('h', "X-A", "1"), {Command: 'c'}}
		}
		return nil
	}
	r := newRig(t, nil, at(s))
	items := r.judge(envelope("yes@example.net", "no@example.net"), plain)
	fates := map[string]string{}
	for _, it := range items {
		for _, rc := range it.Envelope.Recipients {
			fates[rc.Path] = rc.Status.String() + " " + rc.LastReply
			if rc.Path == "yes@example.net" && !strings.Contains(r.content(it.ID), "X-A: 1\r\n") {
				t.Error("the one that was taken lacks the edit")
			}
		}
	}
	if len(items) != 2 || fates["yes@example.net"] != "pending " || fates["no@example.net"] != "failed 550 5.1.1 not here" {
		t.Errorf("%d parts: %v", len(items), fates)
	}
}

func TestThousandsOfRefusedRecipientsFitIntoOneVerdict(t *testing.T) {
	s := miltertest.Start(t, "unix")
	s.Answer = func(p miltertest.Packet) packets {
		if path, _, _ := strings.Cut(p.Data, "\x00"); strings.HasPrefix(p.Data, "<no") {
			return packets{mod('y', "550 5.1.1 "+path+" is not here")}
		}
		return nil
	}
	r := newRig(t, nil, at(s))
	rcpts := []string{"yes@example.net"}
	for i := range 3000 {
		rcpts = append(rcpts, fmt.Sprintf("no%d@example.net", i))
	}
	failed := 0
	for _, it := range r.judge(envelope(rcpts...), plain) {
		for _, rc := range it.Envelope.Recipients {
			if rc.Status == queue.Failed && strings.HasPrefix(rc.LastReply, "550 5.1.1 <no") {
				failed++
			} else if rc.Path != "yes@example.net" || rc.Status != queue.Pending {
				t.Errorf("%s: %v %s", rc.Path, rc.Status, rc.LastReply)
			}
		}
	}
	if failed != 3000 {
		t.Errorf("%d failed, want 3000", failed)
	}
}

func TestMessageIsRefusedWhenEveryRecipientIs(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	s.Answer = answering('R', mod('y', "550 5.1.1 not here"))
	it := newRig(t, nil, at(s)).one(envelope("a@example.net", "b@example.net"), plain)
	if it.Outcome == nil || it.Outcome.Reply != "550 5.1.1 not here" {
		t.Errorf("outcome %+v", it.Outcome)
	}
	if got := s.Commands(); strings.Contains(got, "L") {
		t.Errorf("a milter that took nobody was shown the message: %s", got)
	}
}

func TestEnvelopeEditsAndQuarantine(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	s.Answer = atEnd('a', mod('+', "<new@example.net>"), mod('2', "par@example.net", "NOTIFY=NEVER ORCPT=rfc822;p@example.net"), mod('2', "odd@example.net", "FOO=BAR"), mod('-', "<rcpt@EXAMPLE.net>"),
		mod('-', "<stranger@example.net>"), mod('e', "<>", "RET=HDRS"), mod('q', "looks \x01 odd"))
	it := newRig(t, nil, at(s)).one(envelope("rcpt@example.net", "stays@example.net"), plain)
	for _, rc := range it.Envelope.Recipients {
		if rc.Path == "par@example.net" && (rc.Notify != queue.NotifyNever || rc.ORCPT != "rfc822;p@example.net") {
			t.Errorf("parameters %v %q", rc.Notify, rc.ORCPT)
		}
	}
	if got := pendingOf(it); got != "new@example.net odd@example.net par@example.net stays@example.net" {
		t.Errorf("recipients %s", got)
	}
	if it.Envelope.ReversePath != "" {
		t.Errorf("reverse-path %q", it.Envelope.ReversePath)
	}
	if it.Hold == nil || it.Hold.Reason != "looks ? odd" || it.Hold.By != "filter:m1" {
		t.Errorf("hold %+v", it.Hold)
	}
}

func TestReplacedBodyComesInPiecesAndGetsCRLF(t *testing.T) {
	big := strings.Repeat(strings.Repeat("x", 99)+"\n", 600)
	for name, c := range map[string]struct {
		pieces []string
		want   string
	}{
		"pieces":           {[]string{"one\ntw", "o\r", "\nthree\r\n", "\nend"}, "one\r\ntwo\r\nthree\r\n\r\nend"},
		"empty":            {[]string{""}, ""},
		"beyond one piece": {slices.Repeat([]string{big}, 20), strings.ReplaceAll(strings.Repeat(big, 20), "\n", "\r\n")},
	} {
		t.Run(name, func(t *testing.T) {
			var mods []miltertest.Packet
			for _, p := range c.pieces {
				mods = append(mods, miltertest.Packet{Command: 'b', Data: p})
			}
			mods = append(mods, mod('h', "X-A", "1"))
			s := miltertest.Start(t, "tcp")
			s.Answer = atEnd('c', mods...)
			r := newRig(t, nil, at(s))
			header, _, _ := strings.Cut(plain, "\r\n\r\n")
			if got, want := r.content(r.one(envelope(), plain).ID), header+"\r\nX-A: 1\r\n\r\n"+c.want; got != want {
				t.Errorf("got %.300q, want %.300q", got, want)
			}
		})
	}
}

func TestLaterMilterSeesTheEditsOfTheEarlierOne(t *testing.T) {
	one, two := miltertest.Start(t, "tcp"), miltertest.Start(t, "unix")
	one.Answer = atEnd('c', mod('h', "X-One", "1"), mod('+', "more@example.net"), mod('e', "other@example.org"), miltertest.Packet{Command: 'b', Data: "new\n"})
	two.Answer = atEnd('c', indexed('m', 1, "X-One", "2"))
	r := newRig(t, nil, at(one), at(two))
	it := r.one(envelope(), plain)
	saw(t, two, miltertest.Packet{Command: 'L', Data: "X-One\x001\x00"})
	saw(t, two, miltertest.Packet{Command: 'B', Data: "new\r\n"})
	saw(t, two, miltertest.Packet{Command: 'R', Data: "<more@example.net>\x00"})
	saw(t, two, miltertest.Packet{Command: 'M', Data: "<other@example.org>\x00"})
	if got := r.content(it.ID); !strings.Contains(got, "\r\nX-One: 2\r\n\r\nnew\r\n") {
		t.Errorf("got %q", got)
	}
}

// A milter that fails at its worst moment, after half of its edits, leaves nothing
// behind, and the message waits for it; when it has come to its senses the message
// goes on.
func TestMilterThatIsLostCommitsNothingAndIsAskedAgain(t *testing.T) {
	half := []miltertest.Packet{mod('h', "X-Half", "1"), {Command: 'b', Data: strings.Repeat("x", 60000)}, mod('q', "half")}
	for name, last := range map[string]miltertest.Packet{
		"hangs up":                   {Hangup: true},
		"garbage":                    {Command: '!', Data: "what"},
		"a length that lies":         {Raw: "\xff\xff\xff\xffh"},
		"an empty packet":            {Raw: "\x00\x00\x00\x00"},
		"a packet cut short":         {Raw: "\x00\x00\x10\x00hX", Hangup: true},
		"an edit without its NUL":    {Command: 'h', Data: "X\x00y"},
		"a reply that is none":       mod('y', "250 2.0.0 fine"),
		"a reply of two minds":       mod('y', "550-5.1.1 a\r\n450 4.1.1 b"),
		"a field name that is none":  {Raw: string(wire(mod('h', "X Y:", "1"))) + "\x00\x00\x00\x01c"},
		"edits without end":          {Raw: strings.Repeat(string(wire(mod('h', "X-A", "1"))), 600)},
		"pieces of nothing":          {Raw: strings.Repeat("\x00\x00\x00\x01b", maxModifications+1)},
		"removals of nobody":         {Raw: strings.Repeat(string(wire(mod('-', ""))), maxModifications+1)},
		"an answer before it is due": {Command: 'O', Data: "x"},
	} {
		t.Run(name, func(t *testing.T) {
			s := miltertest.Start(t, "tcp")
			n := 0
			s.Answer = func(p miltertest.Packet) packets {
				if p.Command != 'E' {
					return nil
				}
				if n++; n == 1 {
					return append(half[:3:3], last)
				}
				return packets{mod('h', "X-Whole", "1"), {Command: 'c'}}
			}
			r := newRig(t, nil, at(s))
			it := r.one(envelope(), plain)
			want := strings.Replace(plain, "\r\n\r\n", "\r\nX-Whole: 1\r\n\r\n", 1)
			if got := r.content(it.ID); it.State != queue.Incoming || it.Hold != nil || got != want {
				t.Errorf("%v, hold %v, %.200q; want %q", it.State, it.Hold, got, want)
			}
			if len(it.Generations) != 2 || len(it.Verdicts) != 1 {
				t.Errorf("%d generations, %d verdicts; want 2 and 1", len(it.Generations), len(it.Verdicts))
			}
		})
	}
}

func wire(p miltertest.Packet) []byte {
	return []byte(miltertest.Uint32(uint32(1+len(p.Data))) + string(p.Command) + p.Data)
}

func TestFailureRuleOfTheConfigurationIsFollowed(t *testing.T) {
	dead := miltertest.Start(t, "tcp")
	dead.Close()
	lost := miltertest.Start(t, "tcp")
	lost.Answer = answering('E', miltertest.Packet{Hangup: true})
	bad := miltertest.Start(t, "tcp")
	bad.Answer = answering('M', miltertest.Packet{Command: '!'})
	for class, s := range map[filter.Class]*miltertest.Server{filter.Unreachable: dead, filter.Crash: lost, filter.Protocol: bad} {
		for action, want := range map[filter.Action]string{
			filter.Tempfail: "rejected 451 4.7.1 message cannot be checked now, try again later",
			filter.Reject:   "rejected 554 5.7.0 message cannot be checked",
		} {
			t.Run(string(class)+" "+string(action), func(t *testing.T) {
				it := newRig(t, map[filter.Class]filter.Action{class: action}, at(s)).one(envelope(), plain)
				if it.Outcome == nil || it.Outcome.Disposition.String()+" "+it.Outcome.Reply != want {
					t.Errorf("outcome %+v, want %s", it.Outcome, want)
				}
			})
		}
	}
}

func TestSilentMilterHarmsOnlyItsOwnMessage(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	s.Answer = func(p miltertest.Packet) packets {
		if p.Command == 'M' && strings.Contains(p.Data, "hang@") {
			return packets{{Hang: true}}
		}
		return nil
	}
	r := newRig(t, nil, at(s))
	env := envelope()
	env.ReversePath = "hang@example.org"
	w := r.open(env, plain)
	if _, err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !strings.Contains(s.Commands(), "M") && ctx.Err() == nil {
		_, _ = r.q.Count(ctx, queue.Filter{})
	}
	if it := r.one(envelope(), plain); it.State != queue.Incoming {
		t.Errorf("the other message is %v", it.State)
	}
}

func TestMessageWithoutAClientComesFromLocalhost(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	env := queue.Envelope{Recipients: []queue.Recipient{{Path: "rcpt@example.net"}}}
	newRig(t, nil, at(s)).one(env, "Subject: x\r\n\r\n")
	saw(t, s, miltertest.Packet{Command: 'C', Data: "localhost\x004\x00\x00127.0.0.1\x00"})
	saw(t, s, miltertest.Packet{Command: 'M', Data: "<>\x00"})
}

func TestLongBodyIsShownInPieces(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	r := newRig(t, nil, at(s))
	body := strings.Repeat(strings.Repeat("y", 98)+"\r\n", 2000)
	it := r.one(envelope(), "Subject: x\r\n\r\n"+body)
	got := ""
	for _, p := range s.Seen() {
		if p.Command == 'B' {
			if len(p.Data) > 65535 {
				t.Errorf("a piece of %d octets", len(p.Data))
			}
			got += p.Data
		}
	}
	if got != body || r.content(it.ID) != "Subject: x\r\n\r\n"+body {
		t.Errorf("%d octets shown of %d", len(got), len(body))
	}
}

func TestSkipSparesTheRestOfTheBody(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	s.Answer = answering('B', miltertest.Packet{Command: 's'})
	it := newRig(t, nil, at(s)).one(envelope(), "Subject: x\r\n\r\n"+strings.Repeat("y", 300000))
	if n := strings.Count(s.Commands(), "B"); n != 1 || it.State != queue.Incoming {
		t.Errorf("%d pieces, %v; want 1 and incoming", n, it.State)
	}
}
