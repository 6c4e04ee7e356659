package main

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestUnifiedDiff(t *testing.T) {
	for _, c := range []struct{ name, a, b, want string }{
		{"the same", "x\n", "x\n", ""},
		{"a line put in", "1\n2\n3\n4\n5\n6\n7\n8\n", "1\n2\n3\n4\nnew\n5\n6\n7\n8\n",
			"--- a\n+++ b\n@@ -2,6 +2,7 @@\n 2\n 3\n 4\n+new\n 5\n 6\n 7\n"},
		{"far apart", "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "x\n2\n3\n4\n5\n6\n7\n8\ny\n",
			"--- a\n+++ b\n@@ -1,4 +1,4 @@\n-1\n+x\n 2\n 3\n 4\n@@ -6,4 +6,4 @@\n 6\n 7\n 8\n-9\n+y\n"},
		{"line ends that differ", "a\r\nb\r\n", "a\nb\r\n", "--- a\n+++ b\n@@ -1,2 +1,2 @@\n-a\\r\n+a\n b\\r\n"},
		{"no line end at the end", "a\n", "a", "--- a\n+++ b\n@@ -1,1 +1,1 @@\n-a\n+a\n\\ no line end\n"},
		{"from nothing", "", "a\n", "--- a\n+++ b\n@@ -1,0 +1,1 @@\n+a\n"},
		{"escapes", "a\n", "\x1b[2J\tb\n", "--- a\n+++ b\n@@ -1,1 +1,1 @@\n-a\n+\\x1b[2J\tb\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			unified(&out, "a", "b", []byte(c.a), []byte(c.b))
			if out.String() != c.want {
				t.Errorf("got\n%s\nwant\n%s", out.String(), c.want)
			}
		})
	}
}

// The steps lead from the one text to the other.
func TestEditsLeadFromAToB(t *testing.T) {
	text := rapid.SliceOfN(rapid.SampledFrom([]string{"a\n", "b\n", "c\n"}), 0, 12)
	rapid.Check(t, func(t *rapid.T) {
		a, b := text.Draw(t, "a"), text.Draw(t, "b")
		var gotA, gotB []string
		for _, e := range edits(a, b) {
			if e.op != '+' {
				gotA = append(gotA, a[e.i])
			}
			if e.op != '-' {
				gotB = append(gotB, b[e.j])
			}
			if e.op == ' ' && a[e.i] != b[e.j] {
				t.Fatalf("kept %q for %q", a[e.i], b[e.j])
			}
		}
		if strings.Join(gotA, "") != strings.Join(a, "") || strings.Join(gotB, "") != strings.Join(b, "") {
			t.Fatalf("from %q to %q", gotA, gotB)
		}
	})
}

func FuzzOneLineIsSafeForATerminal(f *testing.F) {
	for _, s := range []string{"plain", "\x1b[2J", "a\nb", "\u202e", "\xff", "ü", "\u2028", "\x9b1m"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := oneLine(s)
		for _, r := range got {
			if !showable(r) {
				t.Fatalf("%q shows %q", s, r)
			}
		}
		if oneLine(got) != got {
			t.Fatalf("%q is not stable", got)
		}
		var b bytes.Buffer
		if _, err := (safeWriter{&b}).Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(b.String(), "\x1b\x07\b\r") {
			t.Fatalf("%q is written as %q", s, b.String())
		}
	})
}
