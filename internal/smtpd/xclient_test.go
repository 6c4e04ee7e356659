package smtpd

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"mtad/internal/intake"
)

func proxies(o *Options, _ *intake.Options) { o.XClient, o.XForward = loopback, loopback }

func TestXCLIENTMakesAnotherClient(t *testing.T) {
	d := openDoor(t, proxies)
	p := d.ready()
	p.talk("> XCLIENT NAME=mail.client.example ADDR=IPV6:2001:db8::5 PORT=4711 DESTADDR=192.0.2.1 DESTPORT=25\n< 220\n> MAIL FROM:<>\n< 503 5.5.1\n> EHLO other\n< 250\n" +
		toUs + "> DATA\n< 354\n> .\n< 250")
	it := d.wantMessages(1)[0]
	c := it.Envelope.Client
	if c.Name != "mail.client.example" || c.Address != "2001:db8::5" || c.Port != 4711 || c.Helo != "other" {
		t.Errorf("client %+v", c)
	}
	if !strings.Contains(string(it.Trace), "from other (mail.client.example [IPv6:2001:db8::5])") {
		t.Errorf("trace %q", it.Trace)
	}
}

func TestXCLIENTDecidesWhoMayRelay(t *testing.T) {
	inside := netip.MustParsePrefix("10.0.0.0/8")
	d := openDoor(t, proxies, func(o *Options, _ *intake.Options) { o.Networks = append([]netip.Prefix{inside}, loopback...) })
	for attrs, want := range map[string]string{
		"ADDR=10.1.2.3":                       "250",
		"ADDR=IPV6:::ffff:10.1.2.3":           "250",
		"ADDR=192.0.2.7":                      "554 5.7.1",
		"ADDR=[UNAVAILABLE]":                  "554 5.7.1",
		"ADDR=192.0.2.7 LOGIN=joe":            "250",
		"ADDR=192.0.2.7 LOGIN=[UNAVAILABLE]":  "554 5.7.1",
		"ADDR=192.0.2.7 NAME=[TEMPUNAVAIL]":   "554 5.7.1",
		"addr=192.0.2.7 helo=10.1.2.3 PORT=1": "554 5.7.1",
	} {
		p := d.ready()
		p.talk("> XCLIENT " + attrs + "\n< 220\n> EHLO x\n< 250\n> MAIL FROM:<>\n< 250\n> RCPT TO:<b@else.example>\n< " + want)
	}
}

func TestXCLIENTLooksUpTheNameOfTheNewAddress(t *testing.T) {
	d := openDoor(t, proxies, func(o *Options, _ *intake.Options) {
		o.ClientName = func(_ context.Context, a netip.Addr) string {
			return "host-" + strings.ReplaceAll(a.String(), ".", "-") + ".example"
		}
	})
	for attrs, want := range map[string]string{
		"PORT=1": "host-127-0-0-1.example", "ADDR=192.0.2.7": "host-192-0-2-7.example", "ADDR=192.0.2.7 NAME=his.example": "his.example",
		"ADDR=192.0.2.7 NAME=[UNAVAILABLE]": "unknown", "ADDR=[UNAVAILABLE]": "unknown",
	} {
		p := d.ready()
		p.talk("> XCLIENT " + attrs + "\n< 220\n> EHLO x\n< 250\n> MAIL FROM:<" + strings.ToLower(want) + "@b.example>\n< 250\n> RCPT TO:<b@example.org>\n< 250\n> DATA\n< 354\n> .\n< 250")
		for _, it := range d.messages() {
			if e := it.Envelope; e.ReversePath == want+"@b.example" && e.Client.Name != want {
				t.Errorf("%s: name %q", attrs, e.Client.Name)
			}
		}
	}
}

func TestXCLIENTWithHELOIsGreeted(t *testing.T) {
	d := openDoor(t, proxies)
	p := d.ready()
	p.talk("> XCLIENT ADDR=192.0.2.7 HELO=his.example PROTO=SMTP\n< 220\n" + toUs + "> DATA\n< 354\n> .\n< 250")
	if c := d.wantMessages(1)[0].Envelope.Client; c.Helo != "his.example" || c.Protocol != "SMTP" {
		t.Errorf("client %+v", c)
	}
}

func TestBadAttributesLeaveTheSessionAlone(t *testing.T) {
	for _, arg := range []string{
		"", "ADDR", "=x", "ADDR=", "ADDR=example", "ADDR=1.2.3.4 ADDR=1.2.3.5", "ADDR=fe80::1%25eth0", "ADDR=IPV6:1.2.3.4",
		"PORT=65536", "PORT=-1", "PROTO=X", "FOO=bar", "NAME=a+0D+0AX", "NAME=a+0", "NAME=a+0d", "NAME=a..b", "HELO=a+0AX-Injected:+20y",
		"HELO=a+00", "NAME=" + strings.Repeat("x", 256), "HELO=" + strings.Repeat("x", 256), "LOGIN=+C3+A4",
		"A=1 B=2 C=3 D=4 E=5 F=6 G=7 H=8 I=9 J=10 K=11 L=12 M=13 N=14 O=15 P=16 Q=17",
	} {
		p := openDoor(t, proxies).ready()
		p.talk("> XCLIENT " + arg + "\n< 501 5.5.4\n> MAIL FROM:<>\n< 250")
		if arg == "PROTO=X" || strings.HasPrefix(arg, "LOGIN") {
			continue
		}
		p = openDoor(t, proxies).ready()
		p.talk("> XFORWARD " + arg + "\n< 501 5.5.4\n> MAIL FROM:<>\n< 250")
	}
}

func TestXFORWARDDescribesTheNextMessageOnly(t *testing.T) {
	d := openDoor(t, proxies)
	p := d.ready()
	msg := toUs + "> DATA\n< 354\n> .\n< 250\n"
	p.talk("> XFORWARD NAME=mail.client.example ADDR=192.0.2.7\n< 250 2.0.0\n> XFORWARD PORT=4711 PROTO=ESMTPS HELO=his.example IDENT=ABC+20D SOURCE=REMOTE\n< 250\n" + msg + msg)
	items := d.wantMessages(2)
	c := items[0].Envelope.Client
	if c.Name != "mail.client.example" || c.Address != "192.0.2.7" || c.Port != 4711 || c.Helo != "his.example" || c.Protocol != "ESMTPS" {
		t.Errorf("client %+v", c)
	}
	if m := items[0].Meta; m["xforward_ident"] != "ABC D" || m["xforward_source"] != "REMOTE" {
		t.Errorf("meta %v", m)
	}
	if !strings.Contains(string(items[0].Trace), "from client.example (unknown [127.0.0.1])") {
		t.Errorf("trace %q", items[0].Trace)
	}
	if c := items[1].Envelope.Client; c.Address != "127.0.0.1" || c.Helo != "client.example" {
		t.Errorf("second client %+v", c)
	}
}

func TestXFORWARDGivesNoRights(t *testing.T) {
	d := openDoor(t, proxies, func(o *Options, _ *intake.Options) {
		o.Networks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	})
	p := d.ready()
	p.talk("> XFORWARD ADDR=10.1.2.3\n< 250\n> MAIL FROM:<>\n< 250\n> XFORWARD ADDR=10.1.2.3\n< 503\n> XCLIENT ADDR=10.1.2.3\n< 503\n> RCPT TO:<b@else.example>\n< 554 5.7.1")
}

// Whatever a client calls itself, the trace field has the lines that we made.
func TestNothingAClientSaysEndsATraceLine(t *testing.T) {
	for _, helo := range []string{
		`a)`, `a (b) by evil.example with ESMTP id 1; Mon`, `"quoted\"`, "a\tb", "[127.0.0.1", "[IPv6:::1]x", "<x>", "a;b", strings.Repeat("a", 255), "a\\",
	} {
		d := openDoor(t)
		p := d.dial()
		p.talk("< 220\n")
		p.send("EHLO " + helo + "\r\n")
		p.talk("< 250\n" + toUs + "> DATA\n< 354\n> .\n< 250")
		trace := string(d.wantMessages(1)[0].Trace)
		if strings.Count(trace, "(") != 1 || strings.Count(trace, ")") != 1 || strings.Count(trace, ";") != 1 || strings.ContainsAny(trace, "\"\\") {
			t.Errorf("helo %q: trace %q", helo, trace)
		}
		for line := range strings.SplitSeq(strings.TrimSuffix(trace, "\r\n"), "\r\n") {
			if !strings.HasPrefix(line, "Received: ") && !strings.HasPrefix(line, "\t") || strings.ContainsAny(line, "\r\n") {
				t.Errorf("helo %q: line %q", helo, line)
			}
		}
	}
}
