package smtp

import (
	"strings"
	"testing"
)

func TestParseMail(t *testing.T) {
	p, m, bad := ParseMail(" <a@b> SIZE=10 body=8bitmime SMTPUTF8 RET=full ENVID=x+2By AUTH=<>")
	want := MailParams{Size: 10, Body: "8BITMIME", UTF8: true, Return: "FULL", EnvID: "x+y", Auth: "<>", HasAuth: true}
	if bad != nil || p.String() != "a@b" || m != want {
		t.Errorf("%v %+v %v", p, m, bad)
	}
	if _, m, _ := ParseMail("<>"); m.Size != -1 {
		t.Errorf("no SIZE is %d", m.Size)
	}
}

func TestBadParameters(t *testing.T) {
	for _, s := range []string{
		"SIZE", "SIZE=", "SIZE=x", "SIZE=-1", "SIZE=+1", "SIZE=1.5", "SIZE=9223372036854775808", "SIZE=000000000000000000001", "SIZE=1 SIZE=1", "SIZE=1 size=2",
		"BODY", "BODY=", "BODY=9BIT", "BODY=BINARYMIME", "SMTPUTF8=", "SMTPUTF8=x", "RET", "RET=", "RET=ALL", "ENVID", "ENVID=", "ENVID=+", "ENVID=+4", "ENVID=+4x", "ENVID=+0A",
		"ENVID=+0D+0AX-Injected:+20y", "ENVID=a=b", "ENVID=" + strings.Repeat("x", MaxEnvID+1), "AUTH", "AUTH=", "AUTH=+0A", "FOO", "FOO=bar", "=x", "-X=y", "X_Y=z", "SIZE=1\t",
		"REQUIRETLS", "HOLDFOR=1", strings.Repeat("A=1 ", 30),
	} {
		if _, m, bad := ParseMail("<a@b> " + s); bad == nil || !bad.Permanent() || bad.Enhanced == "" {
			t.Errorf("%q was taken as %+v, %v", s, m, bad)
		}
	}
	for _, s := range []string{
		"NOTIFY", "NOTIFY=", "NOTIFY=X", "NOTIFY=NEVER,SUCCESS", "NOTIFY=SUCCESS,NEVER", "NOTIFY=SUCCESS,SUCCESS", "NOTIFY=SUCCESS,", "NOTIFY=,DELAY", "NOTIFY=NEVER NOTIFY=NEVER",
		"ORCPT", "ORCPT=", "ORCPT=rfc822", "ORCPT=rfc822;", "ORCPT=;a", "ORCPT=rfc822;a+0Ab", "ORCPT=rfc822;a=b", "ORCPT=rf+63;a", "ORCPT=rfc822;" + strings.Repeat("x", MaxORCPT), "ORCPT=utf-8;ä",
		"SIZE=1", "X-FOO",
	} {
		if _, r, bad := ParseRcpt("<a@b> "+s, false); bad == nil || !bad.Permanent() || bad.Enhanced == "" {
			t.Errorf("%q was taken as %+v, %v", s, r, bad)
		}
	}
	if _, _, bad := ParseMail("<a@b>SIZE=1"); bad == nil {
		t.Error("a parameter without a space before it was taken")
	}
}

func TestParseRcpt(t *testing.T) {
	_, r, bad := ParseRcpt("<a@b> notify=success,FAILURE ORCPT=rfc822;x+2By@z", false)
	if bad != nil || r.Notify != NotifySuccess|NotifyFailure || r.ORCPT != "rfc822;x+y@z" {
		t.Errorf("%+v %v", r, bad)
	}
	_, r, bad = ParseRcpt("<a@b> ORCPT=utf-8;ä@ö", true)
	if bad != nil || r.ORCPT != "utf-8;ä@ö" {
		t.Errorf("%+v %v", r, bad)
	}
	at := "rfc822;" + strings.Repeat("x", MaxORCPT-len("rfc822;"))
	if _, r, bad = ParseRcpt("<a@b> ORCPT="+at, false); bad != nil || r.ORCPT != at {
		t.Errorf("at the limit: %v", bad)
	}
	if _, m, bad := ParseMail("<> ENVID=" + strings.Repeat("x", MaxEnvID)); bad != nil || len(m.EnvID) != MaxEnvID {
		t.Errorf("at the limit: %v", bad)
	}
}

func TestXtext(t *testing.T) {
	for plain, coded := range map[string]string{"": "", "a+b=c": "a+2Bb+3Dc", "\x00 \xff": "+00+20+FF"} {
		if got := Xtext(plain); got != coded {
			t.Errorf("%q: %q", plain, got)
		}
	}
	for _, s := range []string{"+", "+4", "+4g", "+4a", "a b", "a=b", "\x7f", "ä"} {
		if got, ok := ParseXtext(s); ok {
			t.Errorf("%q was taken as %q", s, got)
		}
	}
}

func FuzzXtext(f *testing.F) {
	f.Add("a+b=c \r\n\xff")
	f.Fuzz(func(t *testing.T, s string) {
		if got, ok := ParseXtext(Xtext(s)); !ok || got != s {
			t.Fatalf("%q: %q, %v", s, got, ok)
		}
		if got, ok := ParseXtext(s); ok {
			if again, ok := ParseXtext(Xtext(got)); !ok || again != got {
				t.Fatalf("%q: %q, %q", s, got, again)
			}
		}
	})
}

// What is taken has values within their bounds that can end no line; what is
// refused is refused permanently, in our own words.
func FuzzParams(f *testing.F) {
	f.Add("<a@b> SIZE=10 BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=x AUTH=<>")
	f.Add("<a@b> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2B")
	f.Fuzz(func(t *testing.T, s string) {
		if p, m, bad := ParseMail(s); bad == nil {
			if m.Size < -1 || len(m.EnvID) > MaxEnvID || !isPrintable(m.EnvID+m.Auth) || strings.ContainsAny(p.String(), "\r\n") {
				t.Fatalf("%q: %+v", s, m)
			}
			if !m.UTF8 && !IsASCII(p.String()) {
				t.Fatalf("%q: %q without SMTPUTF8", s, p)
			}
		} else if !bad.Permanent() || !isPrintable(bad.Text) {
			t.Fatalf("%q: %+v", s, bad)
		}
		if p, r, bad := ParseRcpt(s, true); bad == nil {
			if p.Null() || len(r.ORCPT) > MaxORCPT || strings.ContainsAny(r.ORCPT, "\r\n\x00") || r.Notify&NotifyNever != 0 && r.Notify != NotifyNever {
				t.Fatalf("%q: %+v", s, r)
			}
		} else if !bad.Permanent() || !isPrintable(bad.Text) {
			t.Fatalf("%q: %+v", s, bad)
		}
	})
}
