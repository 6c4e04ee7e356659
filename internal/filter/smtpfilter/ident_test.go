package smtpfilter

import (
	"bytes"
	"strings"
	"testing"

	"mtad/queue"
)

func TestIdentitiesCannotBeGuessed(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		s := newIdent("0SADRA1T80000")
		if !strings.HasPrefix(s, "0SADRA1T80000.") || len(s) < 13+1+26 || seen[s] {
			t.Fatalf("%q", s)
		}
		seen[s] = true
	}
}

func TestIdentFieldIsTakenOutOfTheHeaderSectionOnly(t *testing.T) {
	for in, want := range map[string][2]string{
		"X-Mtad-Ident: i\r\nA: b\r\n\r\nbody":                {"i", "A: b\r\n\r\nbody"},
		"A: b\r\nx-mtad-ident:i \r\nC: d\r\n\r\n":            {"i", "A: b\r\nC: d\r\n\r\n"},
		"A: b\n\nX-Mtad-Ident: i\r\n":                        {"", "A: b\n\nX-Mtad-Ident: i\r\n"},
		"X-Mtad-Idents: i\r\n":                               {"", "X-Mtad-Idents: i\r\n"},
		"X-Mtad-Ident: i":                                    {"i", ""},
		"X-Mtad-Ident: i\r\nX-Mtad-Ident: forged\r\n\r\n.\n": {"i", "X-Mtad-Ident: forged\r\n\r\n.\n"},
	} {
		ident, rest := cutIdent([]byte(in))
		if ident != want[0] || string(rest) != want[1] {
			t.Errorf("%q: got %q, %q", in, ident, rest)
		}
	}
}

// What is not the field is carried over octet by octet.
func FuzzCutIdent(f *testing.F) {
	f.Add([]byte("X-Mtad-Ident: i\r\nA: b\r\n\r\nbody"))
	f.Add([]byte("A: b\n\nX-Mtad-Ident: i\r\n"))
	f.Add([]byte("X-Mtad-Ident:\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		ident, rest := cutIdent(bytes.Clone(in))
		n := len(in) - len(rest)
		if n == 0 {
			if !bytes.Equal(in, rest) {
				t.Fatalf("%q became %q", in, rest)
			}
			return
		}
		at := 0
		for at < len(rest) && in[at] == rest[at] {
			at++
		}
		for at > 0 && !bytes.EqualFold(in[at:min(at+len(IdentField), len(in))], []byte(IdentField)) {
			at--
		}
		if !bytes.Equal(append(bytes.Clone(in[:at]), in[at+n:]...), rest) || bytes.Count(in[at:at+n], []byte("\n")) > 1 {
			t.Fatalf("%q became %q with %q", in, rest, ident)
		}
	})
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	var r Returns
	for range remember + 100 {
		ident := newIdent(queue.ID("x"))
		r.begin(ident, nil)
		r.end(ident, &served{})
	}
	if len(r.index) != remember || len(r.ended) != remember || len(r.open) != 0 {
		t.Errorf("%d, %d, %d remembered", len(r.index), len(r.ended), len(r.open))
	}
}
