package msgauth

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestSPFAsPublished(t *testing.T) {
	var chain strings.Builder
	for i := range 12 {
		fmt.Fprintf(&chain, "c%d.test. 60 IN TXT \"v=spf1 include:c%d.test -all\"\n", i, i+1)
	}
	z, r := resolver(t, `
		pass.test. 60 IN TXT "v=spf1 ip4:192.0.2.0/24 -all"
		soft.test. 60 IN TXT "v=spf1 ~all"
		mx.test. 60 IN TXT "v=spf1 mx -all"
		mx.test. 60 IN MX 10 a.test.
		a.test. 60 IN A 192.0.2.1
		a.test. 60 IN AAAA 2001:db8::1
		two.test. 60 IN TXT "v=spf1 -all"
		two.test. 60 IN TXT "v=spf1 +all"
		bad.test. 60 IN TXT "v=spf1 nonsense -all"
		helo.test. 60 IN TXT "v=spf1 a:a.test -all"
		void.test. 60 IN TXT "v=spf1 a:v1.test a:v2.test a:v3.test ip4:192.0.2.1 -all"
		include.test. 60 IN TXT "v=spf1 include:broken.test -all"
		macro.test. 60 IN TXT "v=spf1 exists:%{i}._i.macro.test -all"
		192.0.2.1._i.macro.test. 60 IN A 127.0.0.2
		none.test. 60 IN TXT "hello"
	`+chain.String())
	z.Break("broken.test")
	for _, tt := range []struct {
		client, helo, from string
		want               Result
		domain             string
	}{
		{"192.0.2.1", "h", "a@pass.test", Pass, "pass.test"},
		{"192.0.2.1", "h", "a@PASS.test", Pass, "pass.test"},
		{"::ffff:192.0.2.1", "h", "a@pass.test", Pass, "pass.test"},
		{"198.51.100.1", "h", "a@pass.test", Fail, "pass.test"},
		{"2001:db8::1", "h", "a@mx.test", Pass, "mx.test"},
		{"198.51.100.1", "h", "a@soft.test", SoftFail, "soft.test"},
		{"192.0.2.1", "h", "a@two.test", PermError, "two.test"},
		{"192.0.2.1", "h", "a@bad.test", PermError, "bad.test"},
		{"192.0.2.1", "h", "a@none.test", None, "none.test"},
		{"192.0.2.1", "h", "a@missing.test", None, "missing.test"},
		{"192.0.2.1", "h", "a@broken.test", TempError, "broken.test"},
		{"192.0.2.1", "h", "a@include.test", TempError, "include.test"},
		{"192.0.2.1", "h", "a@c0.test", PermError, "c0.test"},
		{"192.0.2.1", "h", "a@void.test", PermError, "void.test"},
		{"192.0.2.1", "h", "a@macro.test", Pass, "macro.test"},
		{"192.0.2.1", "helo.test", "", Pass, "helo.test"},
		{"198.51.100.1", "HELO.test.", "", Fail, "helo.test"},
		{"192.0.2.1", "[192.0.2.1]", "", None, ""},
		{"192.0.2.1", "a b\r\n", "a@pass.test", Pass, "pass.test"},
		{"192.0.2.1", "h", `"x@y"@pass.test`, Pass, "pass.test"},
		{"192.0.2.1", "h", "a@localhost", None, "localhost"},
		{"192.0.2.1", "h", "a@[192.0.2.1]", None, ""},
		{"192.0.2.1", "h", "postmaster", None, ""},
		{"", "h", "a@pass.test", None, "pass.test"},
	} {
		var addr netip.Addr
		if tt.client != "" {
			addr = netip.MustParseAddr(tt.client)
		}
		got := checkSPF(t.Context(), r, Session{Client: addr, Helo: tt.helo, ReversePath: tt.from})
		if got.Result != tt.want || got.Domain != tt.domain {
			t.Errorf("%s %q <%s>: got %s for %q, want %s for %q", tt.client, tt.helo, tt.from, got.Result, got.Domain, tt.want, tt.domain)
		}
	}
}

func TestSilentServersAreATemporaryErrorInTime(t *testing.T) {
	z, r := resolver(t, "")
	for _, name := range []string{"example.org", "_dmarc.example.org", "s._domainkey.example.org"} {
		z.Silence(name)
	}
	header, body := cut(t, fake("")+plainMessage)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	got, err := (&Checker{Resolver: r}).Check(ctx, Session{Client: netip.MustParseAddr("192.0.2.1"), ReversePath: "a@example.org"}, header, strings.NewReader(body))
	if err != nil || got.SPF.Result != TempError || outcomes(got) != "temperror" || got.DMARC.Result != TempError {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestDMARCByAlignmentAndPolicy(t *testing.T) {
	records := texts{
		"_dmarc.reject.example":        {"v=DMARC1; p=reject"},
		"_dmarc.sub.example":           {"v=DMARC1; p=reject; sp=none"},
		"_dmarc.strict.example":        {"v=DMARC1; p=quarantine; adkim=s; aspf=s"},
		"_dmarc.half.example":          {"v=DMARC1; p=reject; pct=50"},
		"_dmarc.softer.example":        {"v=DMARC1; p=quarantine; pct=0"},
		"_dmarc.upper.example":         {"v = DMARC1 ;P=none;p = Reject ; rf=odd; ri=-1; fo=x"},
		"_dmarc.two.example":           {"v=DMARC1; p=reject", "v=DMARC1; p=none"},
		"_dmarc.other.example":         {"v=DMARC1; p=reject", "v=spf1 -all", "junk"},
		"_dmarc.bad.example":           {"v=DMARC1; p=perhaps"},
		"_dmarc.badsp.example":         {"v=DMARC1; p=reject; sp=perhaps; rua=mailto:a@badsp.example"},
		"_dmarc.late.example":          {"p=reject; v=DMARC1"},
		"_dmarc.broken.example":        {"!"},
		"_dmarc.own.reject.example":    {"v=DMARC1; p=none"},
		"_dmarc.xn--mller-kva.example": {"v=DMARC1; p=reject"},
	}
	spf := func(r Result, d string) SPF { return SPF{Result: r, Domain: d} }
	dkim := func(r Result, d string) []Signature { return []Signature{{Result: r, Domain: d}} }
	for _, tt := range []struct {
		from string
		spf  SPF
		dkim []Signature
		want string // result policy disposition
	}{
		{"a@reject.example", spf(Pass, "reject.example"), nil, "pass reject none"},
		{"a@reject.example", spf(Pass, "mail.reject.example"), nil, "pass reject none"},
		{"a@mail.reject.example", spf(Pass, "reject.example"), nil, "pass reject none"},
		{"a@reject.example", spf(Fail, "reject.example"), dkim(Pass, "x.reject.example"), "pass reject none"},
		{"a@reject.example", spf(Fail, "reject.example"), nil, "fail reject reject"},
		{"a@reject.example", spf(Pass, "other.example"), dkim(Pass, "notreject.example"), "fail reject reject"},
		{"a@reject.example", spf(SoftFail, "reject.example"), dkim(Policy, "reject.example"), "fail reject reject"},
		{"a@own.reject.example", spf(Fail, ""), nil, "fail none none"},
		{"a@x.sub.example", spf(Fail, ""), nil, "fail none none"},
		{"a@sub.example", spf(Fail, ""), nil, "fail reject reject"},
		{"a@strict.example", spf(Pass, "x.strict.example"), dkim(Pass, "y.strict.example"), "fail quarantine quarantine"},
		{"a@strict.example", spf(Fail, ""), dkim(Pass, "strict.example"), "pass quarantine none"},
		{"a@half.example", SPF{}, nil, "fail reject quarantine"},
		{"a@softer.example", SPF{}, nil, "fail quarantine none"},
		{"a@upper.example", SPF{}, nil, "fail reject reject"},
		{"a@two.example", SPF{}, nil, "none  none"},
		{"a@other.example", SPF{}, nil, "fail reject reject"},
		{"a@bad.example", SPF{}, nil, "none  none"},
		{"a@badsp.example", SPF{}, nil, "fail none none"},
		{"a@late.example", SPF{}, nil, "none  none"},
		{"a@none.example", spf(Pass, "none.example"), nil, "none  none"},
		{"a@broken.example", SPF{}, nil, "temperror  none"},
		{"a@reject.example", spf(TempError, "reject.example"), nil, "temperror reject none"},
		{"a@reject.example", spf(TempError, "other.example"), nil, "fail reject reject"},
		{"a@reject.example", spf(TempError, "reject.example"), dkim(Pass, "reject.example"), "pass reject none"},
		{"a@reject.example", SPF{}, dkim(TempError, "reject.example"), "temperror reject none"},
		{"A <a@REJECT.example.>", SPF{}, nil, "fail reject reject"},
		{"a@m\u00fcller.example", SPF{}, dkim(Pass, "xn--mller-kva.example"), "pass reject none"},
	} {
		got := checkDMARC(t.Context(), records, fieldsOf([]byte("From: "+tt.from+"\r\n")), tt.spf, tt.dkim, func(int) int { return 70 })
		if s := fmt.Sprint(got.Result, " ", got.Policy, " ", got.Disposition); s != tt.want {
			t.Errorf("%s %+v %+v: got %s, want %s", tt.from, tt.spf, tt.dkim, s, tt.want)
		}
	}
}

func TestUnclearAuthorsFailUnderTheStrictestPolicy(t *testing.T) {
	records := texts{"_dmarc.reject.example": {"v=DMARC1; p=reject"}, "_dmarc.soft.example": {"v=DMARC1; p=none"}, "_dmarc.broken.example": {"!"}}
	all := []Signature{{Result: Pass, Domain: "reject.example"}, {Result: Pass, Domain: "soft.example"}}
	for header, want := range map[string]string{
		"From: a@soft.example\r\nFrom: b@reject.example\r\n": "fail reject",
		"From: a@soft.example\r\nfrom : a@soft.example\r\n":  "fail none",
		"From: a@soft.example, b@reject.example\r\n":         "fail reject",
		"From: a@soft.example, b@none.example\r\n":           "fail none",
		"From: a@soft.example, b@soft.example\r\n":           "pass none",
		"From: <a@soft.example <b@reject.example>\r\n":       "fail reject",
		"From: (a@soft.example) \"x@reject.example\" <y\r\n": "fail reject",
		"From: \"b@reject.example\" <a@soft.example>\r\n":    "pass none",
		"From: Nobody, Inc. <a@soft.example>\r\n":            "pass none",
		"From: =?gb2312?B?xOO6ww==?= <a@reject.example>\r\n": "pass none",
		"From: \xc4\xe3 <a@reject.example>\r\n":              "pass none",
		"From: a@soft.example, b@broken.example\r\n":         "temperror none",
		"From:\r\n":                      "permerror none",
		"From: undisclosed:;\r\n":        "permerror none",
		"From: a@\r\n":                   "permerror none",
		"From: \x00a@reject.example\r\n": "pass none",
		"Subject: x\r\n":                 "permerror none",
		"From: " + strings.Repeat("a@x.example, ", 20_000) + "b@reject.example\r\n": "fail reject",
	} {
		got := checkDMARC(t.Context(), records, fieldsOf([]byte(header)), SPF{}, all, func(int) int { return 0 })
		if s := fmt.Sprint(got.Result, " ", got.Disposition); s != want {
			t.Errorf("%.80q: got %s %s, want %s", header, s, got.Domain, want)
		}
	}
}

func TestManyAuthorsAreNotAllLookedUp(t *testing.T) {
	var header strings.Builder
	header.WriteString("From: a@a.example")
	for i := range 1000 {
		fmt.Fprintf(&header, ",\r\n a@x%d.example", i)
	}
	c := &counting{texts: texts{}}
	got := checkDMARC(t.Context(), c, fieldsOf([]byte(header.String()+"\r\n")), SPF{}, nil, func(int) int { return 0 })
	if got.Result != Fail || got.Disposition != "reject" || c.n.Load() > 2*maxAuthors {
		t.Errorf("%+v after %d questions", got, c.n.Load())
	}
}

func TestFieldIsWellFormedWhateverWasChecked(t *testing.T) {
	r := Results{
		SPF: SPF{Result: Pass, Domain: "example.org", Mailbox: "o'brien)\"x@example.org"},
		Signatures: []Signature{
			{Result: Pass, Domain: "example.org", Selector: "s", Algorithm: "rsa-sha256", Start: "ab/+cd=="},
			{Result: PermError, Reason: "there is no key", Algorithm: "x;\r\n evil=\"\\\u00fc\"" + strings.Repeat("y", 2000)},
		},
		DMARC: DMARC{Result: Fail, Domain: "example.org", Policy: "reject", Disposition: "quarantine"},
	}
	got := r.Field("mx.test")
	want := "mx.test;\r\n\tspf=pass\r\n\t  smtp.mailfrom=example.org;\r\n\tdkim=pass\r\n\t  header.d=example.org\r\n\t  header.s=s\r\n\t  header.a=rsa-sha256\r\n\t  header.b=\"ab/+cd==\";\r\n" +
		"\tdkim=permerror reason=\"there is no key\"\r\n\t  header.a=\"x;evil=" + strings.Repeat("y", 320-15) + "\";\r\n\tdmarc=fail (p=reject dis=quarantine)\r\n\t  header.from=example.org"
	if got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
	r.SPF = SPF{Result: None, Helo: true, Domain: "h.test"}
	r.Signatures = nil
	if got := r.Field("mx.test"); !strings.Contains(got, "spf=none\r\n\t  smtp.helo=h.test;\r\n\tdkim=none;") {
		t.Errorf("got %q", got)
	}
}
