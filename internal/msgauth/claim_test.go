package msgauth

import (
	"strings"
	"testing"
)

func TestFieldsThatClaimToBeOursAreRecognised(t *testing.T) {
	for value, want := range map[string]bool{
		// Ours.
		"mx.test; spf=pass":               true,
		" MX.Test;spf=pass":               true,
		"mx.test 1; spf=pass":             true,
		"mx.test\t(c) 1 (d);":             true,
		"mx.test":                         true,
		"mx.test.; none":                  true,
		"\r\n mx.test; x":                 true,
		"(c)mx.test(d); x":                true,
		"(a (b) \\) c) mx.test; x":        true,
		"\"mx.test\"; x":                  true,
		"\"m\\x.te\r\n st\"; x":           true, // a fold within quotes: unclear
		"\"MX.\\test\" 1; x":              true,
		"xn--mller-kva.example; spf=pass": true,
		"m\u00fcller.example; spf=pass":   true,
		"M\u00dcLLER.example; spf=pass":   true,
		"mx2.test; spf=pass":              true,
		// Unclear: gone, too.
		"":                              true,
		"; spf=pass":                    true,
		"(mx.test; spf=pass":            true,
		"\"mx.test; spf=pass":           true,
		"\"mx.test\\":                   true,
		"other.test mx.test; spf=pass":  true,
		"other.test, mx.test; spf=pass": true,
		"other.test/mx.test; spf=pass":  true,
		"=?utf-8?q?mx.test?=; spf=pass": true,
		"mx.te\x00st; spf=pass":         true,
		"mx.te\xffst; spf=pass":         true,
		"\u200bmx.test; spf=pass":       true,
		"mx\uff0etest; spf=pass":        true, // a full stop of full width
		"other.test 1 2; spf=pass":      true,
		"spf=pass; mx.test":             true,
		// Others'.
		"other.test; spf=pass smtp.mailfrom=mx.test": false,
		"mx.test.example; spf=pass":                  false,
		"amx.test; spf=pass":                         false,
		"other.test 1; none":                         false,
		"(mx.test) other.test; spf=pass":             false,
		"\r\n\tother.test;\r\n\tspf=pass (mx.test)":  false,
		"\"other.test\"; mx.test":                    false,
		"other; x":                                   false,
	} {
		if got := Claims(value, "mx.test", "mx2.test", "xn--mller-kva.example"); got != want {
			t.Errorf("%q: got %t, want %t", value, got, want)
		}
	}
}

func FuzzClaims(f *testing.F) {
	for _, s := range []string{"mx.test; x", "(a(b)\\)c) \"mx.te\\st\" 1; x", "other; x", "\"", "("} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		claims := Claims(value, "mx.test")
		if !claims && !Claims(value, "mx.test", "other.test") {
			id, ok := servID(value)
			if !ok || strings.EqualFold(id, "mx.test") {
				t.Fatalf("%q is kept: %q %t", value, id, ok)
			}
			// What a simple reader takes for the id, between white space and the first
			// semicolon, is not ours either.
			first, _, _ := strings.Cut(value, ";")
			if strings.EqualFold(strings.TrimSpace(first), "mx.test") {
				t.Fatalf("%q is kept", value)
			}
		}
		// A comment in front makes no difference.
		if got := Claims("(c) "+value, "mx.test"); got != claims {
			t.Fatalf("%q: %t, behind a comment %t", value, claims, got)
		}
	})
}
