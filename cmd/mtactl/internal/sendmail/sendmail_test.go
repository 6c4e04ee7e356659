package sendmail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"mtad/internal/smtp"
)

var (
	alice = Person{Login: "alice", FullName: "Alice Example", Host: "mx.test"}
	noon  = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
)

// made is what a command line and an input become.
func made(t *testing.T, in string, args ...string) (*Message, string, error) {
	t.Helper()
	o, err := Parse(args)
	if err != nil {
		return nil, "", err
	}
	m, err := Read(iotest.OneByteReader(strings.NewReader(in)), o, alice, noon, "token")
	if err != nil {
		return nil, "", err
	}
	text, err := io.ReadAll(m.Content)
	if err != nil {
		t.Fatal(err)
	}
	return m, string(text), nil
}

const added = "From: Alice Example <alice@mx.test>\nDate: Mon, 23 Nov 2026 12:00:00 +0000 (UTC)\nMessage-ID: <token@mx.test>\n"

func TestOptionsAreThoseOfOtherPrograms(t *testing.T) {
	for line, want := range map[string]string{
		"a@b":                                  "{0 [a@b] false false false    0    false}",
		"-t":                                   "{0 [] true false false    0    false}",
		"-ti -f a@b":                           "{0 [] true true true a@b   0    false}",
		"-fa@b c":                              "{0 [c] false false true a@b   0    false}",
		"-r a@b c":                             "{0 [c] false false true a@b   0    false}",
		"-FCronDaemon -i -B8BITMIME -oem root": "{0 [root] false true false  CronDaemon  0    false}",
		"-odi -oi -oem -os -om -v x":           "{0 [x] false true false    0    true}",
		"-em -A c -Am -C /x -G -U -n -m x":     "{0 [x] false false false    0    false}",
		"-L tag -O a=b -Oa=b -h 3 -p x -X y x": "{0 [x] false false false    0    false}",
		"-d0.1 -d x":                           "{0 [x] false false false    0    false}",
		"-N success,failure -V id -R hdrs x":   "{0 [x] false false false   6 id HDRS   false}",
		"-Nnever -Rfull x":                     "{0 [x] false false false   1  FULL   false}",
		"-bs":                                  "{1 [] false false false    0    false}",
		"-bp":                                  "{2 [] false false false    0    false}",
		"-bi":                                  "{3 [] false false false    0    false}",
		"-I":                                   "{3 [] false false false    0    false}",
		"-q":                                   "{4 [] false false false    0    false}",
		"-qI0ABC":                              "{4 [] false false false    0   0ABC  false}",
		"-qRexample.org":                       "{4 [] false false false    0    example.org false}",
		"-t -- -f":                             "{0 [-f] true false false    0    false}",
		"a@b -f c@d":                           "{0 [a@b -f c@d] false false false    0    false}",
	} {
		o, err := Parse(strings.Fields(line))
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if got := strings.Join(strings.Fields(fmt.Sprint(*o)), " "); got != strings.Join(strings.Fields(want), " ") {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

func TestCommandLinesThatCannotBeFollowedAreRefused(t *testing.T) {
	for _, line := range []string{
		"", "-f", "-Z x", "-bd", "-bl", "-bt", "-bh", "-bH", "-bv x", "-b", "-q30m", "-qSx", "-B 9BIT x", "-N sometimes x", "-N never,delay x", "-R half x", "-bs -t", "-bs x", "-q x", "--help",
	} {
		if o, err := Parse(strings.Fields(line)); err == nil {
			t.Errorf("%q: %+v", line, *o)
		}
	}
	if _, err := Parse([]string{"-V", "a\nb", "x"}); err == nil {
		t.Error("a line end in an envelope ID")
	}
}

func TestAddressLists(t *testing.T) {
	for list, want := range map[string]string{
		"":                                  "",
		"root":                              "root",
		"<>":                                "",
		"a@b.c, d@e.f":                      "a@b.c d@e.f",
		"Alice <a@b.c>,, Bob <d@e.f>":       "a@b.c d@e.f",
		`"Doe, \"J\" (x" <a@b.c>`:           "a@b.c",
		"a@b.c (Alice (the one), x)":        "a@b.c",
		"undisclosed-recipients:;":          "",
		"Friends: a@b.c, X <d@e.f>;, g@h.i": "a@b.c d@e.f g@h.i",
		"<@x.y,@z.y:a@b.c>":                 "a@b.c",
		"a . b @ c . d":                     "a.b@c.d",
		`"a b"@c.d`:                         `"a b"@c.d`,
		"a@[192.0.2.1]":                     "a@[192.0.2.1]",
		"Müller <a@b.c>":                    "a@b.c",
		"< a@b.c >":                         "a@b.c",
	} {
		got, err := addresses(list)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %q %v, want %q", list, got, err, want)
		}
	}
	for _, list := range []string{"a b", "a@b.c d@e.f", "<a@b.c", `"a`, "a@b.c (", "<a<b>>", "a@", "@b", "a\x00b", "a@b c>"} {
		if got, err := addresses(list); err == nil {
			t.Errorf("%q: %q", list, got)
		}
	}
}

func TestMissingFieldsAreAdded(t *testing.T) {
	for name, c := range map[string]struct {
		in, want string
		args     []string
	}{
		"nothing at all":        {"", added + "\n", nil},
		"a body alone":          {"hello world\n", added + "\nhello world\n", nil},
		"a header section":      {"Subject: x\n\nhello\n", "Subject: x\n" + added + "\nhello\n", nil},
		"no blank line":         {"Subject: x\nhello\n", "Subject: x\n" + added + "\nhello\n", nil},
		"no end of line":        {"Subject: x", "Subject: x\n" + added + "\n", nil},
		"all is there":          {"From: a\nDate: b\nMessage-Id: c\n\nx", "From: a\nDate: b\nMessage-Id: c\n\nx", nil},
		"Internet line ends":    {"Subject: x\r\n\r\nhello\r\n", "Subject: x\r\n" + strings.ReplaceAll(added, "\n", "\r\n") + "\r\nhello\r\n", nil},
		"mbox":                  {"From alice Mon\n>From x\nSubject: x\n\nFrom here\n", "Subject: x\n" + added + "\nFrom here\n", nil},
		"no mbox":               {"From : a\nDate: b\nMessage-Id: c\n\nx", "From : a\nDate: b\nMessage-Id: c\n\nx", nil},
		"an attribute's name":   {"sender: x\nsize: 3\n\n", "Sender: x\nsize: 3\n" + added + "\n", nil},
		"folded":                {"Subject: x\n y\n\tz\nBcc: q,\n r\nTo: s\n\n", "Subject: x\n y\n\tz\nTo: s\n" + added + "\n", nil},
		"dropped":               {"Return-Path: <x>\nContent-Length: 4\nResent-Bcc: x\n\n", strings.NewReplacer("From", "Resent-From", "Date", "Resent-Date", "Message-ID", "Resent-Message-ID").Replace(added) + "\n", nil},
		"a dot":                 {"Subject: x\n\na\n.\nb\n", "Subject: x\n" + added + "\na\n", nil},
		"a dot in the header":   {"Subject: x\n.\nb\n", "Subject: x\n" + added + "\n", nil},
		"dots that are text":    {"\na\n.\n..\n.x\nb\n", added + "\na\n.\n..\n.x\nb\n", []string{"-i"}},
		"a dot and CR":          {"\na\n.\r\nb\n", added + "\na\n", nil},
		"octets stay":           {"Subject: \xe4\n\n\x00\xff\r\r\n", "Subject: \xe4\n" + added + "\n\x00\xff\r\r\n", nil},
		"a full name":           {"\n", strings.Replace(added, "Alice Example", "X", 1) + "\n", []string{"-FX"}},
		"a full name with dots": {"\n", strings.Replace(added, "Alice Example", `"J. \"D\""`, 1) + "\n", []string{"-F", `J. "D"`}},
		"a full name as header": {"\n", strings.Replace(added, "Alice Example", `"x  Bcc: y@z"`, 1) + "\n", []string{"-F", "x\r\nBcc: y@z"}},
		"a full name in UTF-8":  {"\n", strings.Replace(added, "Alice Example", "=?utf-8?q?J=C3=B6?=", 1) + "\n", []string{"-F", "Jö"}},
		"another sender":        {"\n", strings.Replace(added, "alice@mx.test", "b@c.d", 1) + "\n", []string{"-f", "b@c.d"}},
		"the null reverse-path": {"\n", strings.Replace(added, "alice@mx.test", "MAILER-DAEMON@mx.test", 1) + "\n", []string{"-f", ""}},
	} {
		_, got, err := made(t, c.in, append(c.args, "bob@example.net")...)
		if err != nil || got != c.want {
			t.Errorf("%s: %v\n%q, want\n%q", name, err, got, c.want)
		}
	}
}

func TestEnvelopes(t *testing.T) {
	for name, c := range map[string]struct {
		in, from, to string
		args         []string
	}{
		"arguments":      {"To: x@y.z\n\n", "alice", "bob carol@example.net", []string{"bob", "carol@example.net"}},
		"a list":         {"\n", "alice", "bob carol@example.net", []string{"bob, Carol <carol@example.net>"}},
		"-t":             {"To: A <a@b.c>,\n d@e.f\nCc: g\nBcc: h\n\n", "alice", "a@b.c d@e.f g h", []string{"-t"}},
		"-t, more":       {"To: a\n\n", "alice", "bob a", []string{"-t", "bob"}},
		"-t, resent":     {"To: a\nResent-To: b\nResent-Bcc: c\n\n", "alice", "b c", []string{"-t"}},
		"a body's To":    {"To: a\n\nTo: b\n", "alice", "a", []string{"-t"}},
		"-f":             {"\n", "b@c.d", "x", []string{"-f", "b@c.d", "x"}},
		"-f, a name":     {"\n", "b@c.d", "x", []string{"-f", "Bob <b@c.d>", "x"}},
		"-f, null":       {"\n", "", "x", []string{"-f", "<>", "x"}},
		"-f, empty":      {"\n", "", "x", []string{"-f", "", "x"}},
		"behind options": {"\n", "alice", "-f", []string{"--", "<-f>"}},
	} {
		m, _, err := made(t, c.in, c.args...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var to []string
		for _, r := range m.Envelope.Recipients {
			to = append(to, r.Path)
		}
		if m.Envelope.Sender != c.from || strings.Join(to, " ") != c.to {
			t.Errorf("%s: from %q to %q", name, m.Envelope.Sender, to)
		}
	}
	m, _, err := made(t, "\n", "-N", "delay", "-V", "id 1", "-R", "full", "x")
	if err != nil || m.Envelope.EnvID != "id 1" || m.Envelope.Return != "FULL" || m.Envelope.Recipients[0].Notify != smtp.NotifyDelay {
		t.Errorf("%+v %v", m, err)
	}
}

func TestMessagesThatCannotBeTakenAreRefused(t *testing.T) {
	var data *DataError
	for name, c := range map[string]struct {
		in   string
		args []string
	}{
		"nobody":           {"Subject: x\n\n", []string{"-t"}},
		"a bad To":         {"To: a b\n\n", []string{"-t"}},
		"a bad recipient":  {"\n", []string{"a b"}},
		"too large a head": {strings.Repeat("X: "+strings.Repeat("y", 1000)+"\n", 1100), []string{"x"}},
		"one endless line": {"X: " + strings.Repeat("y", 2<<20), []string{"x"}},
	} {
		if _, _, err := made(t, c.in, c.args...); !errors.As(err, &data) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := made(t, "\n", "-f", "a b", "x"); err == nil {
		t.Error("a bad sender was taken")
	}
}

func TestAnErrorOfTheInputIsTold(t *testing.T) {
	broken := errors.New("broken")
	o := &Options{Recipients: []string{"x"}}
	if _, err := Read(io.MultiReader(strings.NewReader("Subject: x\n"), iotest.ErrReader(broken)), o, alice, noon, "t"); !errors.Is(err, broken) {
		t.Error("in the header section:", err)
	}
	m, err := Read(io.MultiReader(strings.NewReader("Subject: x\n\nabc"), iotest.ErrReader(broken)), o, alice, noon, "t")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(m.Content); !errors.Is(err, broken) {
		t.Error("in the body:", err)
	}
}

func TestDialogue(t *testing.T) {
	var got []string
	c := &Conversation{
		Person: alice, Now: func() time.Time { return noon }, Token: func() string { return "token" },
		Submit: func(_ context.Context, m *Message) smtp.Reply {
			text, err := io.ReadAll(m.Content)
			if err != nil {
				return smtp.Reply{Code: 451, Enhanced: "4.3.0", Text: "no"}
			}
			got = append(got, fmt.Sprint(m.Envelope.Sender, m.Envelope.Recipients), string(text))
			return smtp.Reply{Code: 250, Enhanced: "2.0.0", Text: "Ok"}
		},
	}
	talk := func(in string) string {
		var out bytes.Buffer
		if err := c.Serve(context.Background(), strings.NewReader(in), &out); err != nil {
			fmt.Fprintf(&out, "! %v", err)
		}
		return out.String()
	}
	out := talk("EHLO x\r\nMAIL FROM:<a@b.c> ENVID=x\r\nRCPT TO:<d@e.f> NOTIFY=NEVER\r\nDATA\r\nSubject: x\r\n\r\n..a\r\n.b\r\n.\r\nQUIT\r\n")
	if !strings.HasSuffix(out, "354 End data with a line of a single dot\r\n250 2.0.0 Ok\r\n221 2.0.0 Bye\r\n") {
		t.Errorf("%s", out)
	}
	if len(got) != 2 || got[0] != "a@b.c[{d@e.f 1 }]" || !strings.HasSuffix(got[1], "\r\n\r\n.a\r\nb\r\n") {
		t.Errorf("%q", got)
	}
	for in, code := range map[string]string{
		"RCPT TO:<a@b>\n": "503", "DATA\n": "503", "MAIL FROM:a@b\n": "501", "MAIL TO:<a@b>\n": "501", "STARTTLS\n": "502", "AUTH PLAIN x\n": "502",
		"MAIL FROM:<>\nMAIL FROM:<>\n": "503", "MAIL FROM:<>\nRCPT TO:<>\n": "501", strings.Repeat("x", 5000) + "\n": "500",
		strings.Repeat("x", 200_000) + "\n": "500", "VRFY x\n": "252", "NOOP\n": "250", "HELP\n": "214",
	} {
		lines := strings.Split(strings.TrimSpace(talk(in)), "\r\n")
		if last := lines[len(lines)-1]; !strings.HasPrefix(last, code+" ") {
			t.Errorf("%.30q: %s, want %s", in, last, code)
		}
	}
	got = nil
	if out := talk("MAIL FROM:<>\nRCPT TO:<a@b.c>\nDATA\nSubject: x\n\nhalf"); len(got) != 0 || !strings.Contains(out, "! unexpected EOF") {
		t.Errorf("half a message: %q %q", got, out)
	}
}

func FuzzMessage(f *testing.F) {
	f.Add("Subject: x\nBcc: y@z\n\nbody\n", "a@b.c", "Full Name", true)
	f.Add("Subject: x\n", "\u009c", "", true)
	f.Add("From x\nTo: a, b: c;\n .\n.\n", "", "\r\nBcc: x", false)
	f.Fuzz(func(t *testing.T, in, to, name string, dots bool) {
		o := &Options{Recipients: []string{to}, FromHeader: true, IgnoreDots: dots, FullName: name}
		m, err := Read(strings.NewReader(in), o, alice, noon, "token")
		if err != nil {
			return
		}
		if _, err := m.Envelope.Append(nil); err != nil {
			t.Fatalf("an envelope that cannot be written: %v", err)
		}
		text, err := io.ReadAll(m.Content)
		if err != nil {
			t.Fatal(err)
		}
		h, err := readHeader(newText(bytes.NewReader(text), false))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range h.fields {
			if dropped(f.name) && !bytes.HasPrefix(text, []byte("From ")) {
				t.Fatalf("%s is still there: %q", f.name, text)
			}
		}
	})
}

func FuzzAddresses(f *testing.F) {
	for _, s := range []string{"a@b.c", `"x" <a@b.c>, y: z;`, "(a) b@c (d)", "a b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, list string) {
		got, err := addresses(list)
		if err != nil {
			return
		}
		again, err := addresses("<" + strings.Join(got, ">, <") + ">")
		if err != nil || !slices.Equal(again, got) {
			t.Fatalf("%q: %q, again %q %v", list, got, again, err)
		}
	})
}
