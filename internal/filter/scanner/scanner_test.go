package scanner

import (
	"strings"
	"testing"

	"mtad/filterproto"
)

func TestForgedFindsFieldsHoweverTheyAreCut(t *testing.T) {
	message := "X-Spam-Flag: NO\r\nSubject: x\r\n X-Spam-Folded: no field\r\nx-spam-OTHER : y\r\nX-Spammer: no\r\n\r\nX-Spam-Body: no field\r\n"
	for size := 1; size < len(message); size++ {
		f := &Forged{Prefixes: []string{"x-spam-"}}
		for rest := message; rest != ""; {
			n := min(size, len(rest))
			_, _ = f.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		var names []string
		for _, e := range f.Remove("X-Spam-Flag") {
			names = append(names, e.Name)
		}
		if got := strings.Join(names, " "); got != "x-spam-flag x-spam-other" {
			t.Fatalf("in pieces of %d: %s", size, got)
		}
	}
}

func TestForgedIsBounded(t *testing.T) {
	f := &Forged{Prefixes: []string{"x-spam-"}}
	for i := range 10_000 {
		_, _ = f.Write([]byte("X-Spam-" + strings.Repeat("a", i%70) + strings.Repeat("b", i%61) + ": 1\r\n"))
	}
	_, _ = f.Write([]byte("X-Spam-" + strings.Repeat("c", 1<<20)))
	if n := len(f.Remove()); n > maxForged || len(f.line) > 2*maxFieldName {
		t.Errorf("%d names, a line of %d octets", n, len(f.line))
	}
}

func TestAddressIsASocketOrAPort(t *testing.T) {
	for s, want := range map[string]Address{
		"unix:/run/x": {"unix", "/run/x"}, "127.0.0.1:1": {"tcp", "127.0.0.1:1"}, "[::1]:1": {"tcp", "[::1]:1"}, "scan.example.org:3310": {"tcp", "scan.example.org:3310"},
		"unix:run": {}, "unix:": {}, "host": {}, ":1": {}, "host:": {}, "/run/x": {}, "": {},
	} {
		got, err := ParseAddress(s)
		if got != want || (err == nil) != (want != Address{}) {
			t.Errorf("%q: got %v, %v", s, got, err)
		}
	}
}

func TestVerdictOfAFindQuotesTheScannerInOneLine(t *testing.T) {
	v := Reject.Verdict(Find{Text: "bad\r\n250 ok\x00" + strings.Repeat("x", 2000), Reason: strings.Repeat("é", 1000)})
	if len(v.Reply.Text) > filterproto.MaxReplyText || strings.ContainsAny(v.Reply.Text, "\r\n\x00") || len(v.Reason) > maxReason {
		t.Errorf("%+v %+v", v, v.Reply)
	}
}
