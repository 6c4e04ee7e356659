package msa

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func options() CompleterOptions {
	return CompleterOptions{
		Date: true, MessageID: true, ID: "id", Hostname: "mx.test",
		Now: time.Date(2026, 11, 23, 1, 2, 3, 0, time.UTC),
	}
}

const date, messageID = "Date: Mon, 23 Nov 2026 01:02:03 +0000\r\n", "Message-ID: <id@mx.test>\r\n"

// complete runs content through a Completer in pieces of n octets.
func complete(t testing.TB, o CompleterOptions, content string, n int) (string, error) {
	t.Helper()
	var out bytes.Buffer
	c := NewCompleter(o, out.Write)
	for rest := content; rest != ""; {
		k := min(n, len(rest))
		if _, err := c.Write([]byte(rest[:k])); err != nil {
			return out.String(), err
		}
		rest = rest[k:]
	}
	err := c.Close()
	return out.String(), err
}

func TestMissingFieldsAreAdded(t *testing.T) {
	both := date + messageID
	for name, c := range map[string]struct{ in, want string }{
		"both missing":            {"Subject: x\r\n\r\nbody\r\n", "Subject: x\r\n" + both + "\r\nbody\r\n"},
		"nothing missing":         {"Date: x\r\nMessage-Id: <y>\r\n\r\nDate: z\r\n", "Date: x\r\nMessage-Id: <y>\r\n\r\nDate: z\r\n"},
		"date missing":            {"message-id: <y>\r\n\r\n", "message-id: <y>\r\n" + date + "\r\n"},
		"names in any letters":    {"DATE : x\r\nMESSAGE-ID\t: <y>\r\n\r\n", "DATE : x\r\nMESSAGE-ID\t: <y>\r\n\r\n"},
		"folded fields":           {"Subject: a\r\n Date: no\r\n\tMessage-ID: no\r\n\r\nb\r\n", "Subject: a\r\n Date: no\r\n\tMessage-ID: no\r\n" + both + "\r\nb\r\n"},
		"no header section":       {"\r\nbody\r\n", both + "\r\nbody\r\n"},
		"a body alone":            {"hello world\r\n", both + "\r\nhello world\r\n"},
		"a body behind fields":    {"Subject: x\r\nhello world\r\n", "Subject: x\r\n" + both + "\r\nhello world\r\n"},
		"a first line folded":     {" x\r\n\r\n", both + "\r\n x\r\n\r\n"},
		"nothing":                 {"", both},
		"no body":                 {"Subject: x\r\n", "Subject: x\r\n" + both},
		"no end of line":          {"Subject: x", "Subject: x\r\n" + both},
		"half a name":             {"Subject", both + "\r\nSubject"},
		"mbox line":               {"From ann Mon Nov 23 01:02:03 2026\r\nSubject: x\r\n\r\n", "From ann Mon Nov 23 01:02:03 2026\r\nSubject: x\r\n" + both + "\r\n"},
		"fields of other names":   {"Resent-Date: x\r\nX-Message-ID: y\r\n\r\n", "Resent-Date: x\r\nX-Message-ID: y\r\n" + both + "\r\n"},
		"bare CR in a first line": {"\rDate: x\r\n", both + "\r\n\rDate: x\r\n"},
		"octets of other sets":    {"Subject: \xff\xfe\r\n\r\n\x00\xff", "Subject: \xff\xfe\r\n" + both + "\r\n\x00\xff"},
		"a name that never ends":  {strings.Repeat("x", 5000), both + "\r\n" + strings.Repeat("x", 5000)},
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{1, 2, 3, 7, 1 << 20} {
				if got, err := complete(t, options(), c.in, n); got != c.want || err != nil {
					t.Errorf("in pieces of %d: got %q, %v, want %q", n, got, err, c.want)
				}
			}
		})
	}
}

func TestNothingIsAddedThatNobodyAskedFor(t *testing.T) {
	for _, in := range []string{"", "x", "\r\n", "Subject: x\r\n\r\nbody", "body\r\n"} {
		if got, err := complete(t, CompleterOptions{}, in, 3); got != in || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, in)
		}
	}
}

func TestSenderIsAddedWhenFromIsSomebodyElse(t *testing.T) {
	o := CompleterOptions{Sender: "ann@example.org", Mine: func(a string) bool { return a == "ann@example.org" }}
	for in, added := range map[string]bool{
		"From: Ann <ann@example.org>\r\n\r\n":                            false,
		"From: bob@example.org\r\n\r\n":                                  true,
		"From: ann@example.org, bob@example.org\r\n\r\n":                 true,
		"From: bob@example.org\r\nSender: bob@example.org\r\n\r\n":       false,
		"Subject: x\r\n\r\n":                                             true,
		"From: " + strings.Repeat("x", maxFrom) + "@example.org\r\n\r\n": true,
	} {
		got, err := complete(t, o, in, 5)
		if err != nil || strings.Contains(got, "Sender: ann@example.org\r\n\r\n") != added {
			t.Errorf("%.60q: got %.80q, %v", in, got, err)
		}
	}
}

func TestRefusalEndsTheMessage(t *testing.T) {
	sentinel := errors.New("no")
	o := CompleterOptions{Refuse: func(from []string, readable bool) error {
		if !readable || fmt.Sprint(from) != "[ann@example.org]" {
			return sentinel
		}
		return nil
	}}
	for in, want := range map[string]error{
		"From: ann@example.org\r\n\r\nx":             nil,
		"From: ann@example.org":                      nil,
		"From: bob@example.org\r\n\r\nx":             sentinel,
		"From: bob@example.org":                      sentinel,
		"\r\nFrom: ann@example.org\r\n":              sentinel,
		"x\r\nFrom: ann@example.org\r\n":             sentinel,
		"":                                           sentinel,
		"From: ann@example.org\r\nfrom: b@c\r\n\r\n": sentinel,
	} {
		if _, err := complete(t, o, in, 4); !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", in, err, want)
		}
	}
}

func TestErrorsOfTheOutputAreSticky(t *testing.T) {
	full := errors.New("full")
	c := NewCompleter(options(), func([]byte) (int, error) { return 0, full })
	for range 2 {
		if _, err := c.Write([]byte("Subject: x\r\n\r\n")); !errors.Is(err, full) {
			t.Errorf("got %v", err)
		}
	}
	if err := c.Close(); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

// FuzzCompleter: the octets of the client come out in their order, whatever the
// pieces, with one insertion at the most.
func FuzzCompleter(f *testing.F) {
	for _, s := range []string{"", "Subject: x\r\n\r\nbody", "From: a@b\r\n c@d\r\n", "x\r\n", "\r\n\r\n", ":\r\n", "From a b:c\r\nDate:\r\n"} {
		f.Add(s, 3)
	}
	f.Fuzz(func(t *testing.T, in string, n int) {
		o := options()
		o.Sender = "ann@example.org"
		o.Refuse = func([]string, bool) error { return nil }
		whole, err := complete(t, o, in, len(in)+1)
		if err != nil {
			t.Fatal(err)
		}
		pieces, _ := complete(t, o, in, max(n%17, 1))
		if pieces != whole {
			t.Fatalf("pieces give %q, the whole %q", pieces, whole)
		}
		head := 0
		for head < len(in) && head < len(whole) && in[head] == whole[head] {
			head++
		}
		if !strings.HasSuffix(whole, in[head:]) {
			t.Fatalf("%q became %q", in, whole)
		}
	})
}

// A line that is no field ends the header section here; readers that go on over
// it must not find another From than the one that was judged.
func TestNoFieldIsHiddenBehindALineThatIsNone(t *testing.T) {
	o := CompleterOptions{Refuse: func([]string, bool) error { return nil }}
	const head = "From: ann@example.org\r\n"
	for _, odd := range []string{"no field\r\n", "X-\xff: y\r\n", "\x01: y\r\n", ": y\r\n", "a b: y\r\n"} {
		const hidden = "From: chief@example.com\r\n\r\nbody\r\n"
		for _, n := range []int{1, 3, 1 << 20} {
			if got, err := complete(t, o, head+odd+hidden, n); err != nil || got != head+"\r\n"+odd+hidden {
				t.Errorf("%q in pieces of %d: %q, %v", odd, n, got, err)
			}
		}
	}
}
