package dmarcfilter

import (
	"fmt"
	"strings"
	"testing"

	"mtad/filterproto"
	"mtad/internal/filter/scannertest"
	"mtad/internal/msgauth/dnstest"
	"mtad/internal/mxlookup"
	"mtad/queue"
)

const records = `
	example.org. 60 IN TXT "v=spf1 ip4:192.0.2.1 -all"
	_dmarc.example.org. 60 IN TXT "v=DMARC1; p=reject"
`

func newFilter(t *testing.T, o Options) *Filter {
	t.Helper()
	z := dnstest.Serve(t, records)
	o.ID, o.Resolver = "mx.test", mxlookup.New(mxlookup.Options{Servers: []string{z.Addr}})
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const ours = "Authentication-Results: mx.test;\r\n\tspf=pass\r\n\t  smtp.mailfrom=sender@example.org;\r\n\tdkim=none;\r\n\tdmarc=pass (p=reject dis=none)\r\n\t  header.from=example.org\r\n"

func TestResultsStandOnTopAndTheRestIsAsItWas(t *testing.T) {
	f := newFilter(t, Options{})
	for name, message := range map[string]string{
		"ham":            scannertest.Ham(),
		"no body":        "From: a@example.org\r\n\r\n",
		"no empty line":  "From: a@example.org\r\n",
		"junk behind":    "From: a@example.org\r\nno field\r\n\r\nbody",
		"bare line ends": "From: a@example.org\nX: \r y\n\n\x00body\n\r",
	} {
		o := scannertest.Try(t, f, message, scannertest.Setup{})
		want := ours + message
		if name == "bare line ends" {
			want = strings.ReplaceAll(ours, "\r\n", "\n") + message
		}
		if o.Err != nil || o.Content != want {
			t.Errorf("%s: %v\n got %q\nwant %q", name, o.Err, o.Content, want)
		}
		if got := fmt.Sprint(o.Verdict.Symbols, " ", o.Verdict.Reason); got != "[SPF_PASS DKIM_NONE DMARC_PASS] spf=pass dkim=none dmarc=pass" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestForgedFieldsGoAlsoWhenThereAreThousands(t *testing.T) {
	f := newFilter(t, Options{})
	forged, kept := "Authentication-Results: MX.test; dmarc=pass\r\n", "Authentication-Results: other.test; dmarc=pass\r\n"
	for _, tt := range []struct{ message, want string }{
		{forged + kept + forged + scannertest.Ham(), kept + scannertest.Ham()},
		{strings.Repeat(forged+kept, maxSingle) + scannertest.Ham(), strings.Repeat(kept, maxSingle) + scannertest.Ham()},
		{strings.Repeat(forged+kept, 5000) + scannertest.Ham(), scannertest.Ham()},
		{strings.Repeat("Authentication-Results:(", 5000) + "\r\n" + scannertest.Ham(), scannertest.Ham()},
	} {
		o := scannertest.Try(t, f, tt.message, scannertest.Setup{})
		if o.Err != nil || o.Content != ours+tt.want {
			t.Errorf("%v: got %.300q", o.Err, o.Content)
		}
	}
}

func TestMessagesOfOurClientsAreNotCheckedButCleaned(t *testing.T) {
	forged := "Authentication-Results: mx.test; dmarc=pass\r\n"
	yes := func(*queue.Item) bool { return true }
	if o := scannertest.Try(t, newFilter(t, Options{Own: yes}), forged+scannertest.Ham(), scannertest.Setup{}); o.Content != scannertest.Ham() {
		t.Errorf("a client: %q", o.Content)
	}
	if o := scannertest.Try(t, newFilter(t, Options{Trusted: yes, Own: yes}), forged+scannertest.Ham(), scannertest.Setup{}); o.Content != forged+scannertest.Ham() {
		t.Errorf("a relay of ours: %q", o.Content)
	}
}

func TestHeaderSectionBeyondBoundsIsRefused(t *testing.T) {
	yes := func(*queue.Item) bool { return true }
	message := "From: a@example.org\r\n" + strings.Repeat("X: "+strings.Repeat("y", 900)+"\r\n", 1200) + "\r\nbody\r\n"
	for _, o := range []Options{{}, {Own: yes}} {
		got := scannertest.Try(t, newFilter(t, o), message, scannertest.Setup{})
		if got.Err != nil || got.Verdict.Disposition != filterproto.Reject || got.Verdict.Reply.Code != 552 {
			t.Errorf("%+v, %v", got.Verdict, got.Err)
		}
	}
}

func TestPolicyOfADomainIsCarriedOutAsToldOnly(t *testing.T) {
	env := scannertest.Envelope()
	env.Client.Address = "203.0.113.1"
	for action, want := range map[Policy]string{
		"": "accept <nil> ", Record: "accept <nil> ",
		Quarantine: "accept <nil> DMARC policy of example.org",
		Reject:     "reject &{550 5.7.1 refused under the DMARC policy of example.org} ",
	} {
		o := scannertest.Try(t, newFilter(t, Options{OnReject: action}), scannertest.Ham(), scannertest.Setup{Envelope: &env})
		held := ""
		if q := o.Verdict.Quarantine; q != nil {
			held = q.Reason
		}
		if got := fmt.Sprint(o.Verdict.Disposition, " ", o.Verdict.Reply, " ", held); got != want {
			t.Errorf("%q: got %s, want %s", action, got, want)
		}
	}
}

func TestFilterWithoutANameOrAResolverIsRefused(t *testing.T) {
	if _, err := New(Options{ID: "mx.test"}); err == nil {
		t.Error("no resolver: accepted")
	}
}

// Behind a line that is no field a forged field is body here, and a field
// for readers that go on over such lines.
func TestForgedFieldsBehindABrokenHeaderSectionAreRefused(t *testing.T) {
	yes := func(*queue.Item) bool { return true }
	forged := "authentication-results : \r\n mx.test; dmarc=pass\r\n"
	for _, odd := range []string{"no field\r\n", "X-\xff: y\r\n", ": y\r\n", "\r\n"} {
		for _, o := range []Options{{}, {Own: yes}} {
			got := scannertest.Try(t, newFilter(t, o), "From: a@example.org\r\n"+odd+"X: y\r\n"+forged+"\r\nbody\r\n", scannertest.Setup{})
			if got.Err != nil || (got.Verdict.Disposition == filterproto.Reject) != (odd != "\r\n") {
				t.Errorf("%q: %+v, %v", odd, got.Verdict, got.Err)
			}
		}
	}
	others := "From: a@example.org\r\nno field\r\nAuthentication-Results: other.test; dmarc=pass\r\n\r\nAuthentication-Results: mx.test; dmarc=pass\r\n"
	if got := scannertest.Try(t, newFilter(t, Options{}), others, scannertest.Setup{}); got.Verdict.Disposition != filterproto.Accept {
		t.Errorf("%+v, %v", got.Verdict, got.Err)
	}
}

// "From :" is a field in its obsolete form, not the line of an mbox: who is
// spoofed there is spoofed for readers.
func TestAnAuthorInTheObsoleteFormIsSeen(t *testing.T) {
	env := scannertest.Envelope()
	env.Client.Address, env.ReversePath = "203.0.113.1", "x@evil.example"
	for _, head := range []string{"From : chief@example.org\r\n", "From \t: chief@example.org\r\nFrom: x@evil.example\r\n"} {
		o := scannertest.Try(t, newFilter(t, Options{OnReject: Reject}), head+"Subject: x\r\n\r\nbody\r\n", scannertest.Setup{Envelope: &env})
		if o.Err != nil || o.Verdict.Disposition != filterproto.Reject {
			t.Errorf("%q: %+v, %v", head, o.Verdict, o.Err)
		}
	}
}

// Readers that go on over a line that is no field show this author.
func TestAnAuthorBehindABrokenHeaderSectionIsSeen(t *testing.T) {
	env := scannertest.Envelope()
	env.Client.Address, env.ReversePath = "203.0.113.1", "x@evil.example"
	for _, head := range []string{"no field\r\n", "From: x@evil.example\r\n: y\r\nSubject: y\r\n", "X-\xff: y\r\n \r\n"} {
		message := head + "From: chief@example.org\r\n\r\nbody\r\n"
		o := scannertest.Try(t, newFilter(t, Options{OnReject: Reject}), message, scannertest.Setup{Envelope: &env})
		if o.Err != nil || o.Verdict.Disposition != filterproto.Reject {
			t.Errorf("%q: %+v, %v", head, o.Verdict, o.Err)
		}
	}
	o := scannertest.Try(t, newFilter(t, Options{OnReject: Reject}), "From: x@evil.example\r\n\r\nFrom: chief@example.org\r\n", scannertest.Setup{Envelope: &env})
	if o.Err != nil || o.Verdict.Disposition != filterproto.Accept {
		t.Errorf("in a body: %+v, %v", o.Verdict, o.Err)
	}
}
