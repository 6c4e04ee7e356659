package dsn

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mtad/queue"
)

var rewrite = flag.Bool("rewrite", false, "write golden files")

func mustParse(t *testing.T, s sent) parsed {
	t.Helper()
	p, err := parse(s.raw)
	if err != nil {
		t.Fatalf("%v\n%s", err, s.raw)
	}
	return p
}

func TestReportsLookLikeTheirGoldenFiles(t *testing.T) {
	second := failedTo("c@example.net")
	second.LastReply, second.LastRemote, second.ORCPT = "451 4.3.0 try later", "", "rfc822;c+list@example.net"
	delayed := queue.Recipient{Path: "b@example.net", LastReply: "450 4.2.1 mailbox busy", LastRemote: "mail.example.net", LastAttempt: now}
	relayed := queue.Recipient{Path: "b@example.net", Status: queue.Relayed, Notify: queue.NotifySuccess, LastReply: "250 2.0.0 ok", LastRemote: "mail.example.net"}
	delivered := queue.Recipient{Path: "box@example.org", OrigPath: "alias@example.org", Status: queue.Delivered, Notify: queue.NotifySuccess}
	cases := []struct {
		name string
		kind Kind
		item queue.Item
	}{
		{"failed", Failed, item("a@example.com", failedTo("b@example.net"), second)},
		{"delayed", Delayed, item("a@example.com", delayed)},
		{"success", Success, item("a@example.com", relayed, delivered)},
		{"double", Failed, item("", failedTo("b@example.net"))},
		{"utf8", Failed, item("jürgen@example.com", failedTo("bärbel@example.net"))},
		{"utf8-recipient", Failed, item("a@example.com", failedTo("bärbel@example.net"))},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := &box{content: simple}
			c.item.Envelope.EnvID = "QQ314159"
			rcpts := make([]int, len(c.item.Envelope.Recipients))
			for i := range rcpts {
				rcpts[i] = i
			}
			s := b.report(t, c.item, c.kind, rcpts...)
			mustParse(t, s)
			golden(t, c.name+".eml", string(s.raw))
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	got = strings.ReplaceAll(got, "\r\n", "\n")
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

func TestNotifyDecidesWhetherAReportIsMade(t *testing.T) {
	const S, F, D, N = queue.NotifySuccess, queue.NotifyFailure, queue.NotifyDelay, queue.NotifyNever
	cases := []struct {
		notify                   queue.Notify
		failed, delayed, success bool
	}{
		{0, true, true, false},
		{N, false, false, false},
		{S, false, false, true},
		{F, true, false, false},
		{D, false, true, false},
		{S | F | D, true, true, true},
	}
	for _, c := range cases {
		it := item("a@example.com", queue.Recipient{Path: "b@example.net", Notify: c.notify})
		for k, want := range map[Kind]bool{Failed: c.failed, Delayed: c.delayed, Success: c.success} {
			if got := Wanted(&it, k, 0); got != want {
				t.Errorf("NOTIFY %d, %s: wanted %v, want %v", c.notify, k, got, want)
			}
			b := &box{content: simple}
			if err := b.reporter().Report(context.Background(), it, k, []int{0}); err != nil {
				t.Fatal(err)
			}
			if got := len(b.taken) == 1; got != want {
				t.Errorf("NOTIFY %d, %s: made %v, want %v", c.notify, k, got, want)
			}
		}
	}
}

func TestADSNHasTheNullReversePathAndAsksForNoDSN(t *testing.T) {
	b := &box{content: simple}
	s := b.report(t, item("a@example.com", failedTo("b@example.net")), Failed, 0)
	if s.env.ReversePath != "" || len(s.env.Recipients) != 1 || s.env.Recipients[0].Path != "a@example.com" || s.env.Recipients[0].Notify != queue.NotifyNever {
		t.Errorf("envelope %+v", s.env)
	}
	if s.o.Origin != queue.OriginDSN || s.o.Parent != queue.IDOf(accepted, 1, 7) || s.o.DedupeKey == "" || len(s.o.DedupeKey) > 200 {
		t.Errorf("options %+v", s.o)
	}
}

func TestNullReversePathIsToldOfNothingButThePostmasterOfFailure(t *testing.T) {
	b := &box{content: simple}
	rc := failedTo("b@example.net")
	rc.Notify = queue.NotifySuccess | queue.NotifyDelay | queue.NotifyFailure
	it := item("", rc)
	for _, k := range []Kind{Delayed, Success} {
		if err := b.reporter().Report(context.Background(), it, k, []int{0}); err != nil || len(b.taken) != 0 {
			t.Fatalf("%s: error %v, %d reports", k, err, len(b.taken))
		}
	}
	s := b.report(t, it, Failed, 0)
	if got := s.env.Recipients[0].Path; got != "postmaster@mx.example.org" || s.env.ReversePath != "" {
		t.Errorf("double bounce from %q to %q", s.env.ReversePath, got)
	}
	// The double bounce fails in its turn: that is the end.
	double := item("", failedTo("postmaster@mx.example.org"))
	double.Origin, double.Meta = s.o.Origin, s.o.Meta
	if err := b.reporter().Report(context.Background(), double, Failed, []int{0}); err != nil || len(b.taken) != 1 {
		t.Errorf("error %v, %d reports, want 1", err, len(b.taken))
	}
}

func TestRepeatingAReportMakesNoSecondOne(t *testing.T) {
	b := &box{content: simple}
	it := item("a@example.com", failedTo("b@example.net"), failedTo("c@example.net"))
	b.report(t, it, Failed, 0, 1)
	it.Envelope.Recipients[0].LastReply = "554 5.0.0 another text"
	if err := b.reporter().Report(context.Background(), it, Failed, []int{1, 0}); err != nil || len(b.taken) != 1 {
		t.Errorf("error %v, %d reports, want 1", err, len(b.taken))
	}
	b.report(t, it, Failed, 0) // other recipients: another report
	b.report(t, it, Delayed, 0, 1)
}

func TestManyRecipientsMakeBoundedReports(t *testing.T) {
	b := &box{content: simple}
	it := item("a@example.com")
	var all []int
	for i := range 2*maxReported + 1 {
		it.Envelope.Recipients = append(it.Envelope.Recipients, failedTo("b@example.net"))
		it.Envelope.Recipients[i].Path = strings.Repeat("x", i%50) + "b" + string(rune('a'+i%26)) + "@example.net"
		all = append(all, i)
	}
	if err := b.reporter().Report(context.Background(), it, Failed, all); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, s := range b.taken {
		n += len(mustParse(t, s).perRecipient)
	}
	if len(b.taken) != 3 || n != len(all) {
		t.Errorf("%d reports on %d recipients", len(b.taken), n)
	}
}

func TestRETAndKindDecideHowMuchIsReturned(t *testing.T) {
	long := simple + strings.Repeat("0123456789\r\n", DefaultMaxFull/10)
	cases := []struct {
		name, ret, content string
		kind               Kind
		want               string
	}{
		{"failed", "", simple, Failed, "message/rfc822"},
		{"failed full", "FULL", simple, Failed, "message/rfc822"},
		{"failed headers", "HDRS", simple, Failed, "text/rfc822-headers"},
		{"failed too long", "FULL", long, Failed, "text/rfc822-headers"},
		{"delayed full", "FULL", simple, Delayed, "text/rfc822-headers"},
		{"success full", "FULL", simple, Success, "text/rfc822-headers"},
	}
	for _, c := range cases {
		rc := failedTo("b@example.net")
		rc.Notify = queue.NotifySuccess | queue.NotifyDelay | queue.NotifyFailure
		it := item("a@example.com", rc)
		it.Envelope.Return = c.ret
		p := mustParse(t, (&box{content: c.content}).report(t, it, c.kind, 0))
		last := p.parts[len(p.parts)-1]
		want := c.content
		if c.want == "text/rfc822-headers" {
			want, _, _ = strings.Cut(c.content, "\r\n\r\n")
			want += "\r\n"
		}
		if last.typ != c.want || string(last.body) != want {
			t.Errorf("%s: got %s\n%q\nwant %s\n%q", c.name, last.typ, last.body, c.want, want)
		}
	}
}

func TestOriginalsAreCarriedInAnEncodingThatFits(t *testing.T) {
	head := "Subject: x\r\n"
	cases := []struct {
		name, content string
		utf8          bool
		typ           string
		body          queue.BodyType
	}{
		{"8-bit body", head + "\r\ngr\xfc\xdfe\r\n", false, "message/rfc822", queue.Body8Bit},
		{"no line end at the end", head + "\r\nend", false, "message/rfc822", queue.Body7Bit},
		{"no body", head, false, "message/rfc822", queue.Body7Bit},
		{"empty", "", false, "message/rfc822", queue.Body7Bit},
		{"bare LF", head + "\r\na\nb\r\n", false, "text/rfc822-headers", queue.Body7Bit},
		{"bare CR", head + "\r\na\rb\r\n", false, "text/rfc822-headers", queue.Body7Bit},
		{"NUL", head + "\r\na\x00b\r\n", false, "text/rfc822-headers", queue.Body7Bit},
		{"long line", head + "\r\n" + strings.Repeat("x", 999) + "\r\n", false, "text/rfc822-headers", queue.Body7Bit},
		{"longest line", head + "\r\n" + strings.Repeat("x", 998) + "\r\n", false, "message/rfc822", queue.Body7Bit},
		{"SMTPUTF8", "Subject: gr\u00fc\u00dfe\r\n\r\nx\r\n", true, "message/global", queue.Body7Bit},
		{"SMTPUTF8 with a bare LF", "Subject: gr\u00fc\u00dfe\r\n\r\nx\ny\r\n", true, "message/global", queue.Body7Bit},
	}
	for _, c := range cases {
		it := item("a@example.com", failedTo("b@example.net"))
		it.Envelope.SMTPUTF8 = c.utf8
		s := (&box{content: c.content}).report(t, it, Failed, 0)
		last := mustParse(t, s).parts[2]
		want := c.content
		if c.typ == "text/rfc822-headers" {
			want = head
		}
		if last.typ != c.typ || s.env.Body != c.body || string(last.body) != want {
			t.Errorf("%s: got %s %s %q, want %s %s %q", c.name, last.typ, s.env.Body, last.body, c.typ, c.body, want)
		}
	}
}

func TestFieldsSayWhatTheEnvelopeAndReplySaid(t *testing.T) {
	rc := failedTo("b@example.net")
	rc.ORCPT = "rfc822;list@example.com"
	it := item("a@example.com", rc, failedTo("b\u00e4r@example.net"))
	it.Envelope.EnvID = "id 7"
	p := mustParse(t, (&box{content: simple}).report(t, it, Failed, 0, 1))
	for _, c := range []struct{ got, want string }{
		{p.perMessage.Get("Original-Envelope-Id"), "id 7"},
		{p.perMessage.Get("Reporting-MTA"), "dns; mx.example.org"},
		{p.perRecipient[0].Get("Original-Recipient"), "rfc822; list@example.com"},
		{p.perRecipient[0].Get("Final-Recipient"), "rfc822; b@example.net"},
		{p.perRecipient[0].Get("Action"), "failed"},
		{p.perRecipient[0].Get("Status"), "5.1.1"},
		{p.perRecipient[0].Get("Remote-MTA"), "dns; mail.example.net"},
		{p.perRecipient[0].Get("Diagnostic-Code"), "smtp; 550 5.1.1 no such user"},
		{p.perRecipient[1].Get("Final-Recipient"), `utf-8; b\x{E4}r@example.net`},
		{p.header.Get("In-Reply-To"), "<1@example.com>"},
		{p.header.Get("Auto-Submitted"), "auto-replied"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestStatusFollowsKindAndLastReply(t *testing.T) {
	cases := []struct {
		kind        Kind
		reply, want string
	}{
		{Failed, "550 5.1.1 no", "5.1.1"},
		{Failed, "5.7.1 no", "5.7.1"},
		{Failed, "4.2.2 full", "4.4.7"},
		{Failed, "550 no", "5.0.0"},
		{Failed, "", "5.0.0"},
		{Failed, "450 4.2.1 busy", "4.4.7"},
		{Failed, "550 4.2.1 odd", "5.0.0"},
		{Failed, "550 5.1234.1 odd", "5.0.0"},
		{Failed, "rejected by content", "5.0.0"},
		{Delayed, "450 4.2.1 busy", "4.2.1"},
		{Delayed, "connection refused", "4.0.0"},
		{Success, "250 2.1.5 ok", "2.1.5"},
		{Success, "250 ok", "2.0.0"},
	}
	for _, c := range cases {
		if got := status(c.kind, c.reply); got != c.want {
			t.Errorf("%s after %q: got %s, want %s", c.kind, c.reply, got, c.want)
		}
	}
}

func TestNothingOfOthersBecomesAField(t *testing.T) {
	const evil = "x\r\nBcc: victim@example.com\r\n\r\n--=_0102030405060708090a0b0c0d0e0f10\r\n\x00\u2028"
	rc := failedTo("b@example.net" + evil)
	rc.LastReply, rc.LastRemote, rc.ORCPT, rc.OrigPath = "550 "+evil, evil, "rfc822;"+evil, evil
	it := item("a@example.com"+evil, rc)
	it.Envelope.EnvID, it.Envelope.Client.Helo = evil, evil
	s := (&box{content: "Message-ID: <" + evil + ">\r\n\r\n" + evil}).report(t, it, Failed, 0)
	p := mustParse(t, s)
	if len(p.parts) != 3 || len(p.perRecipient) != 1 || p.header.Get("Bcc") != "" || p.perMessage.Get("Bcc") != "" || p.perRecipient[0].Get("Bcc") != "" {
		t.Errorf("injected:\n%s", s.raw)
	}
}

func TestBoundaryIsNeverInTheOriginal(t *testing.T) {
	guess := "=_0102030405060708090a0b0c0d0e0f10" // what the test's Rand gives first
	s := (&box{content: simple + "\r\n--" + guess + "--\r\n"}).report(t, item("a@example.com", failedTo("b@example.net")), Failed, 0)
	if p := mustParse(t, s); len(p.parts) != 3 || !strings.Contains(string(p.parts[2].body), guess) {
		t.Errorf("parts cut short:\n%s", s.raw)
	}
}

func TestAReportWithoutItsOriginalIsStillMade(t *testing.T) {
	for _, err := range []error{queue.ErrCorrupt, queue.ErrNotFound} {
		s := (&box{openErr: err}).report(t, item("a@example.com", failedTo("b@example.net")), Failed, 0)
		if p := mustParse(t, s); len(p.parts) != 2 {
			t.Errorf("%v: %d parts", err, len(p.parts))
		}
	}
	b := &box{openErr: queue.ErrUnavailable}
	if err := b.reporter().Report(context.Background(), item("a@example.com", failedTo("b@example.net")), Failed, []int{0}); !errors.Is(err, queue.ErrUnavailable) {
		t.Errorf("got %v: a store that cannot answer now is asked again", err)
	}
}

func TestARefusedReportLosesTheOriginalFirstAndThenGoesToThePostmaster(t *testing.T) {
	b := &box{content: simple, refuse: func(e queue.Envelope, n int64) error {
		if n > int64(len(simple)) && !strings.HasPrefix(e.Recipients[0].Path, "postmaster@") {
			return queue.ErrTooLarge
		}
		return nil
	}}
	s := b.report(t, item("a@example.com", failedTo("b@example.net")), Failed, 0)
	if s.env.Recipients[0].Path != "postmaster@mx.example.org" || s.o.Meta[MetaKey] != MetaDouble {
		t.Errorf("got %+v %v", s.env, s.o.Meta)
	}
	b = &box{content: simple, refuse: func(queue.Envelope, int64) error { return queue.ErrInvalid }}
	if err := b.reporter().Report(context.Background(), item("a@example.com", failedTo("b@example.net")), Failed, []int{0}); err != nil {
		t.Errorf("an impossible report blocks its item for ever: %v", err)
	}
	b = &box{content: simple, refuse: func(queue.Envelope, int64) error { return queue.ErrFull }}
	if err := b.reporter().Report(context.Background(), item("a@example.com", failedTo("b@example.net")), Failed, []int{0}); !errors.Is(err, queue.ErrFull) {
		t.Errorf("got %v, want the transient error", err)
	}
}
