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

// Whatever shape a message has, it stays what it was below the fields of spamd.
func TestSpamdLeavesOddMessagesAlone(t *testing.T) {
	s := scannertest.StartSpamd(t)
	for name, message := range map[string]string{
		"8 bit":                    "Subject: \xfc\xe4\r\n\r\n\xff\xfe \xe9\r\n",
		"odd white space":          "Subject:x\r\nX:\ty\r\nEmpty:\r\nTo : a@example.org\r\n\r\nbody  \r\n\r\n\r\n",
		"folded":                   "Subject: a\r\n  b\r\n\tc\r\nReceived: from x\r\n\tby y; Sun, 22 Nov 2026 02:00:00 +0000\r\n\r\nbody\r\n",
		"LF alone":                 "Subject: x\nTo: y\n\nbody\n",
		"no header section":        "\r\nbody\r\n",
		"no header at all":         "just a line\r\n",
		"header alone":             "Subject: x\r\n",
		"mbox line":                "From a@example.org Sun Nov 22 02:00:00 2026\r\nSubject: x\r\n\r\nbody\r\n",
		"nothing":                  "",
		"no body":                  "Subject: x\r\n\r\n",
		"no line end":              "Subject: x\r\n\r\nbody",
		"same field again":         "A: 1\r\nA: 1\r\nA: 2\r\nA: 1\r\n\r\nbody\r\n",
		"Return-Path of its own":   "Return-Path: <sender@example.org>\r\nSubject: x\r\n\r\nbody\r\n",
		"a Received field as ours": scannertest.Trace + "Subject: x\r\n\r\nbody\r\n",
		"long":                     "Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("word ", 14)+"\r\n", 20_000),
	} {
		for _, method := range []string{"symbols", "headers", "process"} {
			o := scannertest.Try(t, newFilter(t, Options{Address: s.Addr, Method: method}), message, scannertest.Setup{})
			if o.Err != nil || withoutOwn(o.Content) != message {
				t.Errorf("%s by %s: %v, %+v, %.500q", name, method, o.Err, o.Verdict.Edits, o.Content)
			}
		}
	}
}

// withoutOwn takes X-Spam fields off wherever they are.
func withoutOwn(content string) string {
	var out strings.Builder
	for content != "" {
		line, rest, _ := strings.Cut(content, "\n")
		if strings.HasPrefix(line, "X-Spam-") {
			_, content = ownFields(content)
			continue
		}
		out.WriteString(content[:len(content)-len(rest)])
		content = rest
	}
	return out.String()
}
