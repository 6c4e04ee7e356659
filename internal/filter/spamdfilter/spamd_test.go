package spamdfilter

import (
	"strings"
	"testing"

	"mtad/filterproto"
	"mtad/internal/filter/scanner"
	"mtad/internal/filter/scannertest"
)

func newFilter(t testing.TB, o Options) *Filter {
	t.Helper()
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// ownFields cuts off the X-Spam fields on top of a message.
func ownFields(content string) (fields, rest string) {
	for strings.HasPrefix(strings.ToLower(content), "x-spam-") {
		for first := true; first || content != "" && (content[0] == ' ' || content[0] == '\t'); first = false {
			line, after, _ := strings.Cut(content, "\n")
			fields, content = fields+line+"\n", after
		}
	}
	return fields, content
}

func TestSpamdByEveryMethod(t *testing.T) {
	s := scannertest.StartSpamd(t)
	forged := "X-Spam-Status: No, score=-100\r\nx-spam-made-up: yes\r\n"
	for _, method := range []string{"symbols", "headers", "process"} {
		for _, addr := range []string{s.Addr, "unix:" + s.Socket} {
			f := newFilter(t, Options{Address: addr, Method: method})
			ham := scannertest.Try(t, f, forged+scannertest.Ham(), scannertest.Setup{})
			if ham.Err != nil {
				t.Fatalf("%s %s: %v", method, addr, ham.Err)
			}
			fields, rest := ownFields(ham.Content)
			if rest != scannertest.Ham() || !strings.Contains(fields, "X-Spam-Status: No, score=") || strings.Contains(fields, "-100") || strings.Contains(fields, "made-up") {
				t.Errorf("%s: ham became %q", method, ham.Content)
			}
			if strings.Contains(fields, "NO_RELAYS") {
				t.Errorf("%s: our Received field was not shown: %q", method, fields)
			}
			spam := scannertest.Try(t, f, scannertest.Spam(), scannertest.Setup{})
			fields, rest = ownFields(spam.Content)
			if spam.Err != nil || rest != scannertest.Spam() || !strings.Contains(fields, "X-Spam-Flag: YES\r\n") || spam.Verdict.Score < 900 {
				t.Errorf("%s: spam: %v, %+v, %q", method, spam.Err, spam.Verdict, spam.Content)
			}
		}
	}
	at := 15.0
	for name, o := range map[string]Options{
		"reject": {RejectAt: &at}, "discard": {DiscardAt: &at, RejectAt: &at}, "spam is rejected": {Spam: scanner.Reject}} {
		o.Address = s.Addr
		got := scannertest.Try(t, newFilter(t, o), scannertest.Spam(), scannertest.Setup{}).Verdict.Disposition
		if want := filterproto.Reject; name == "discard" && got != filterproto.Discard || name != "discard" && got != want {
			t.Errorf("%s: got %s", name, got)
		}
	}
	held := scannertest.Try(t, newFilter(t, Options{Address: s.Addr, QuarantineAt: &at}), scannertest.Spam(), scannertest.Setup{})
	if held.Item.Hold == nil {
		t.Errorf("quarantine: %+v", held.Verdict)
	}
}

// With report_safe 1 spam comes back wrapped: the message is replaced, and the
// method headers is refused.
func TestSpamdWrapsReports(t *testing.T) {
	s := scannertest.StartSpamd(t, "--cf=report_safe 1")
	o := scannertest.Try(t, newFilter(t, Options{Address: s.Addr, Method: "process"}), scannertest.Spam(), scannertest.Setup{})
	if o.Err != nil || !strings.Contains(o.Content, "Content-Type: multipart/mixed") || !strings.Contains(o.Content, scannertest.Spam()) {
		t.Errorf("process: %v, %q", o.Err, o.Content)
	}
	if strings.Contains(o.Content, "Return-Path: <sender@example.org>\r\nX") {
		t.Errorf("what was put in front stayed: %q", o.Content)
	}
	if o := scannertest.Try(t, newFilter(t, Options{Address: s.Addr, Method: "headers"}), scannertest.Spam(), scannertest.Setup{}); o.Class() != "protocol" {
		t.Errorf("headers: %v, %q", o.Err, o.Content)
	}
	ham := scannertest.Try(t, newFilter(t, Options{Address: s.Addr, Method: "process"}), scannertest.Ham(), scannertest.Setup{})
	if _, rest := ownFields(ham.Content); rest != scannertest.Ham() {
		t.Errorf("ham: %v, %q", ham.Err, ham.Content)
	}
}
