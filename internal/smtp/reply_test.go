package smtp

import (
	"strings"
	"testing"
)

func TestReplyOnTheWire(t *testing.T) {
	for _, c := range []struct {
		r    Reply
		want string
	}{
		{Reply{250, "2.0.0", "ok"}, "250 2.0.0 ok\r\n"},
		{Reply{250, "", "a\nb\nc"}, "250-a\r\n250-b\r\n250 c\r\n"},
		{Reply{550, "5.7.1", "a\nb"}, "550-5.7.1 a\r\n550 5.7.1 b\r\n"},
		{Reply{354, "", ""}, "354 \r\n"},
		{Reply{550, "5.7.1", "a\r\n250 ok"}, "550-5.7.1 a \r\n550 5.7.1 250 ok\r\n"},
		{Reply{550, "5.7.1", "tab\there\x00\x7fé"}, "550 5.7.1 tab here ???\r\n"},
	} {
		if got := string(c.r.Append(nil)); got != c.want {
			t.Errorf("%+v: %q, want %q", c.r, got, c.want)
		}
	}
}

func TestParse(t *testing.T) {
	for s, want := range map[string]Reply{
		"250 2.0.0 ok":       {250, "2.0.0", "ok"},
		"550 5.7.1":          {550, "5.7.1", ""},
		"550":                {550, "", ""},
		"550 no":             {550, "", "no"},
		"550 4.7.1 mismatch": {550, "", "4.7.1 mismatch"},
		"550 5.1234.1 x":     {550, "", "5.1234.1 x"},
	} {
		if got, ok := Parse(s); !ok || got != want {
			t.Errorf("%q: %+v, %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "25", "25x", "250x", "150 x", "600 x", "-50 x", "+50"} {
		if r, ok := Parse(s); ok {
			t.Errorf("%q was taken as %+v", s, r)
		}
	}
}

// A reply is one reply: each line has its code, the last one alone a space, and
// no octet can end a line early.
func FuzzReply(f *testing.F) {
	f.Add(550, "5.7.1", "text\r\n250 injected\nx")
	f.Fuzz(func(t *testing.T, code int, enhanced, text string) {
		if code < 200 || code > 599 || enhanced != "" && (!ValidEnhanced(enhanced) || enhanced[0] != byte('0'+code/100)) {
			return
		}
		r := Reply{code, enhanced, text}
		wire := string(r.Append(nil))
		lines := strings.SplitAfter(wire, "\r\n")
		lines = lines[:len(lines)-1]
		if len(lines) == 0 || len(lines) > MaxReplyLines || !strings.HasSuffix(wire, "\r\n") {
			t.Fatalf("%q", wire)
		}
		for i, l := range lines {
			l = strings.TrimSuffix(l, "\r\n")
			if len(l) > 510 || strings.ContainsAny(l, "\r\n\x00") || (l[3] == '-') != (i < len(lines)-1) {
				t.Fatalf("%q", wire)
			}
		}
		if again, ok := Parse(r.String()); !ok || again.String() != r.String() || again.Code != code {
			t.Fatalf("%+v is read back from %q as %+v", r, r.String(), again)
		}
	})
}
