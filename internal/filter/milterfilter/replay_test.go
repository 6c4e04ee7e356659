package milterfilter

import (
	"strings"
	"testing"

	"mtad/internal/milter/miltertest"
	"mtad/queue"
)

const plain = "From: sender@example.org\r\nSubject: one\r\n\ttwo\r\n\r\nbody\r\n"

type packets = []miltertest.Packet

// atEnd answers the end of a message with modifications and a last word.
func atEnd(last byte, mods ...miltertest.Packet) func(miltertest.Packet) packets {
	return func(p miltertest.Packet) packets {
		if p.Command == 'E' {
			return append(mods[:len(mods):len(mods)], miltertest.Packet{Command: last})
		}
		return nil
	}
}

func mod(command byte, data ...string) miltertest.Packet {
	return miltertest.Packet{Command: command, Data: miltertest.Strings(data...)}
}

func indexed(command byte, index uint32, name, value string) miltertest.Packet {
	return miltertest.Packet{Command: command, Data: miltertest.Uint32(index) + miltertest.Strings(name, value)}
}

func TestMilterSeesTheWholeDialogueAndTheExactOctets(t *testing.T) {
	s := miltertest.Start(t, "unix")
	r := newRig(t, nil, at(s))
	env := envelope("rcpt@example.net", "two@example.net")
	env.Recipients[0].Notify, env.Recipients[0].ORCPT = queue.NotifyFailure|queue.NotifyDelay, "rfc822;a+b@example.net"
	env.EnvID, env.Return, env.Client.SizeHint = "e 1", "HDRS", 62
	it := r.one(env, plain)
	if it.State != queue.Incoming || r.content(it.ID) != plain {
		t.Errorf("%v, %q; want the message as it was, incoming", it.State, r.content(it.ID))
	}
	if got := s.Commands(); !strings.HasPrefix(got, "CHMRRTLLNBE") {
		t.Errorf("commands %s", got)
	}
	for _, want := range []miltertest.Packet{
		{Command: 'C', Data: "mail.example.org\x004\x12\x67192.0.2.1\x00"},
		{Command: 'H', Data: "mail.example.org\x00"},
		{Command: 'M', Data: "<sender@example.org>\x00SIZE=62\x00RET=HDRS\x00ENVID=e+201\x00"},
		{Command: 'R', Data: "<rcpt@example.net>\x00NOTIFY=FAILURE,DELAY\x00ORCPT=rfc822;a+2Bb@example.net\x00"},
		{Command: 'R', Data: "<two@example.net>\x00"},
		{Command: 'L', Data: "Subject\x00one\n\ttwo\x00"},
		{Command: 'B', Data: "body\r\n"},
	} {
		saw(t, s, want)
	}
	for _, p := range s.Seen() {
		if p.Command == 'D' && p.Data[0] == 'M' && !strings.Contains(p.Data, "i\x00"+string(it.ID)+"\x00{mail_addr}\x00sender@example.org\x00") {
			t.Errorf("macros of MAIL: %q", p.Data)
		}
		if p.Command == 'D' && p.Data[0] == 'C' && !strings.Contains(p.Data, "j\x00mx.example.net\x00_\x00mail.example.org [192.0.2.1]\x00") {
			t.Errorf("macros of connect: %q", p.Data)
		}
	}
}

func saw(t *testing.T, s *miltertest.Server, want miltertest.Packet) {
	t.Helper()
	for _, p := range s.Seen() {
		if p == want {
			return
		}
	}
	t.Errorf("no packet %c %q", want.Command, want.Data)
}

func TestValueOfAFilterThatMindsTheSpaceIsPutDirectlyBehindTheColon(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	s.Protocol = 1 << 20
	s.Answer = atEnd('c', indexed('m', 1, "Subject", "x"), mod('h', "X-A", " a"), mod('h', "X-B", "\tb"), mod('h', "X-C", "  c"))
	r := newRig(t, nil, at(s))
	got := r.content(r.one(envelope(), plain).ID)
	if want := "From: sender@example.org\r\nSubject:x\r\nX-A: a\r\nX-B:\tb\r\nX-C:  c\r\n\r\nbody\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	saw(t, s, miltertest.Packet{Command: 'L', Data: "From\x00 sender@example.org\x00"})
}

func TestHeaderEditsFallWhereTheMilterMeansThem(t *testing.T) {
	for name, c := range map[string]struct {
		mods []miltertest.Packet
		want string
	}{
		"add":                  {packets{mod('h', "X-A", "1")}, "From: sender@example.org\r\nSubject: one\r\n\ttwo\r\nX-A: 1\r\n"},
		"insert at the top":    {packets{indexed('i', 0, "X-A", "1")}, "X-A: 1\r\nFrom: sender@example.org\r\nSubject: one\r\n\ttwo\r\n"},
		"insert below our own": {packets{indexed('i', 1, "X-A", "1")}, "X-A: 1\r\nFrom: sender@example.org\r\nSubject: one\r\n\ttwo\r\n"},
		"insert at 2":          {packets{indexed('i', 2, "X-A", "1")}, "From: sender@example.org\r\nX-A: 1\r\nSubject: one\r\n\ttwo\r\n"},
		"insert far away":      {packets{indexed('i', 1<<31, "X-A", "1")}, "From: sender@example.org\r\nSubject: one\r\n\ttwo\r\nX-A: 1\r\n"},
		"above and below ours": {packets{indexed('i', 0, "X-A", "1"), indexed('i', 1, "X-B", "2"), indexed('i', 3, "X-C", "3")},
			"X-A: 1\r\nX-B: 2\r\nX-C: 3\r\nFrom: sender@example.org\r\nSubject: one\r\n\ttwo\r\n"},
		"change":             {packets{indexed('m', 1, "subject", "new\n\tline")}, "From: sender@example.org\r\nsubject: new\r\n\tline\r\n"},
		"change 0":           {packets{indexed('m', 0, "Subject", "new")}, "From: sender@example.org\r\nSubject: new\r\n"},
		"change missing one": {packets{indexed('m', 2, "Subject", "new")}, "From: sender@example.org\r\nSubject: one\r\n\ttwo\r\nSubject: new\r\n"},
		"delete":             {packets{indexed('m', 1, "Subject", "")}, "From: sender@example.org\r\n"},
		"our own is not theirs": {packets{indexed('m', 1, "Received", "")},
			"From: sender@example.org\r\nSubject: one\r\n\ttwo\r\n"},
		"line ends in values": {packets{mod('h', "X-A", "1\r\n2\n\n \n\t3\n")}, "From: sender@example.org\r\nSubject: one\r\n\ttwo\r\nX-A: 1\r\n\t2\r\n\t3\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s := miltertest.Start(t, "tcp")
			s.Answer = atEnd('c', c.mods...)
			r := newRig(t, nil, at(s))
			if got := r.content(r.one(envelope(), plain).ID); got != c.want+"\r\nbody\r\n" {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
