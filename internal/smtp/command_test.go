package smtp

import (
	"strings"
	"testing"
)

func TestParseCommand(t *testing.T) {
	for _, c := range []struct {
		line string
		verb Verb
		arg  string
	}{
		{"NOOP", NOOP, ""}, {"noop x y ", NOOP, "x y"}, {"MAIL FROM:<a@b>\t ", MAIL, "FROM:<a@b>"}, {"StartTLS", STARTTLS, ""},
		{"EHLO  x", EHLO, " x"}, {"XFORWARD a=b", XFORWARD, "a=b"}, {"XFORWARDS", Unknown, ""}, {"", Unknown, ""}, {" NOOP", Unknown, "NOOP"},
		{"MAIL\tFROM:<>", Unknown, ""}, {"UNKNOWN", Unknown, ""}, {"DATA.", Unknown, ""},
	} {
		if v, arg := ParseCommand([]byte(c.line)); v != c.verb || string(arg) != c.arg {
			t.Errorf("%q: %v %q", c.line, v, arg)
		}
	}
}

func TestCutWord(t *testing.T) {
	for in, want := range map[string]string{"FROM:<a>": "<a>", "from:<a>": "<a>", "From :<a>": "<a>", "FROM: <a>": " <a>", "FROM:": ""} {
		if got, ok := CutWord(in, "FROM"); !ok || got != want {
			t.Errorf("%q: %q, %v", in, got, ok)
		}
	}
	for _, in := range []string{"", "FROM", "FRO:<a>", "FROMX:<a>", "<a>", "TO:<a>"} {
		if got, ok := CutWord(in, "FROM"); ok {
			t.Errorf("%q was taken as %q", in, got)
		}
	}
}

func TestParseBdat(t *testing.T) {
	if n, last, ok := ParseBdat("12 last"); n != 12 || !last || !ok {
		t.Error(n, last, ok)
	}
	if n, last, ok := ParseBdat("9223372036854775807"); n != 1<<63-1 || last || !ok {
		t.Error(n, last, ok)
	}
	for _, s := range []string{"", " 1", "-1", "+1", "0x10", "1 LASTX", "1  LAST", "1 LAST x", "LAST", "9223372036854775808", "000000000000000000001"} {
		if n, last, ok := ParseBdat(s); ok {
			t.Errorf("%q was taken as %d, %v", s, n, last)
		}
	}
}

// A command line never panics, and the argument is part of it.
func FuzzCommand(f *testing.F) {
	f.Add("MAIL FROM:<a@b> SIZE=1")
	f.Add("BDAT 12 LAST")
	f.Add("XCLIENT ADDR=[UNAVAILABLE] NAME=a+2Bb")
	f.Fuzz(func(t *testing.T, line string) {
		v, arg := ParseCommand([]byte(line))
		if v >= NumVerbs || !strings.Contains(line, string(arg)) {
			t.Fatalf("%q: %v %q", line, v, arg)
		}
		if n, _, ok := ParseBdat(string(arg)); ok && n < 0 {
			t.Fatalf("%q: %d octets", line, n)
		}
		attrs, bad := ParseAttrs(string(arg))
		if (bad == nil) == (len(attrs) == 0) || len(attrs) > MaxAttrs {
			t.Fatalf("%q: %v %v", line, attrs, bad)
		}
		for _, a := range attrs {
			if !isPrintable(a.Value) || len(a.Value) > MaxAttrValue || a.Unavailable && a.Value != "" {
				t.Fatalf("%q: %+v", line, a)
			}
		}
	})
}
