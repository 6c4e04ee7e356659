package msa

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func owners(t *testing.T, o OwnersOptions, table string) *Owners {
	t.Helper()
	if table != "" {
		o.File = filepath.Join(t.TempDir(), "senders")
		if err := os.WriteFile(o.File, []byte(table), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w, err := NewOwners(o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestWhoOwnsWhat(t *testing.T) {
	own := owners(t, OwnersOptions{Domains: []string{"example.org"}, Delimiter: "+"}, "# comment\nsales@example.org ann, bob@x.example\n@.lists.example\tbob\n@whole.example bob\nnews@example.org *\n")
	listed := owners(t, OwnersOptions{Rule: Listed}, "ann@example.org ann\n")
	anyone := owners(t, OwnersOptions{Rule: Any}, "")
	for _, c := range []struct {
		w              *Owners
		login, address string
		want           bool
	}{
		{own, "ann", "", true},
		{own, "ann", "ann@example.org", true},
		{own, "ann", "ann+x@example.org", true},
		{own, "ann", "annx@example.org", false},
		{own, "ann", "ann@example.com", false},
		{own, "ann", "\"ann\"@example.org", true},
		{own, "ann", "sales@example.org", true},
		{own, "bob@x.example", "Sales+1@Example.Org", true},
		{own, "bob@x.example", "bob@x.example", true},
		{own, "bob@x.example", "bob@example.org", false},
		{own, "bob", "x@a.b.lists.example", true},
		{own, "bob", "x@lists.example", false},
		{own, "bob", "x@whole.example", true},
		{own, "bob", "x@sub.whole.example", false},
		{own, "eve", "news@example.org", true},
		{own, "eve", "no address", false},
		{own, "eve", "eve", false},
		{own, "+", "+x@example.org", false},
		{listed, "ann", "ann@example.org", true},
		{listed, "bob", "bob@example.org", false},
		{listed, "ann@example.org", "ann@example.org", false},
		{anyone, "eve", "whoever@where.example", true},
	} {
		if got := c.w.May(c.login, c.address); got != c.want {
			t.Errorf("%s as %s: got %v", c.login, c.address, got)
		}
	}
}

func TestTheTableIsReadAgainAndABrokenOneIsNot(t *testing.T) {
	failed := 0
	w := owners(t, OwnersOptions{Rule: Listed, Failed: func(error) { failed++ }}, "a@example.org ann\n")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(w.o.File, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("b@example.org ann bob\n")
	if !w.May("ann", "b@example.org") || w.May("ann", "a@example.org") {
		t.Error("the new table is not in use")
	}
	write("nonsense\n")
	if !w.May("ann", "b@example.org") || failed != 1 {
		t.Errorf("a broken table took effect, or nobody heard of it: %d", failed)
	}
	if err := os.Remove(w.o.File); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if !w.May("ann", "b@example.org") {
			t.Error("a table that is gone took effect")
		}
	}
	if failed != 2 {
		t.Errorf("told %d times, want 2", failed)
	}
}

func FuzzOwners(f *testing.F) {
	f.Add("a@b c\n", "ann", "ann@example.org")
	f.Add("@.b *\n", "ann", "x@a.b")
	f.Fuzz(func(t *testing.T, table, login, address string) {
		m, err := parseOwners(strings.NewReader(table))
		if err != nil {
			return
		}
		w := &Owners{o: OwnersOptions{Rule: Listed}, table: m}
		if w.May(login, address) && address != "" && len(m) == 0 {
			t.Fatal("an empty table gives rights")
		}
	})
}

func TestLettersThatOnlyLookAlikeAreOthers(t *testing.T) {
	w, err := NewOwners(OwnersOptions{Domains: []string{"example.org"}, Delimiter: "+"})
	if err != nil {
		t.Fatal(err)
	}
	const kelvin, fullwidth, cyrillic, long = "\u212aate", "\uff4bate", "k\u0430te", "kate\u017f"
	for _, name := range []string{kelvin, fullwidth, cyrillic, long, "kate.", " kate", "kate\u200b"} {
		if w.May("kate", name+"@example.org") || w.May(name, "kate@example.org") {
			t.Errorf("%q is kate", name)
		}
	}
	for _, a := range []string{"kate@example.org.", "kate@example.org\u3002", "kate@[192.0.2.1]", `"kate@example.com"@example.org`, "kate@example.org@example.com", "+x@example.org"} {
		if w.May("kate", a) {
			t.Errorf("%q is kate's", a)
		}
	}
	for _, a := range []string{"Kate@EXAMPLE.org", `"kate"@example.org`, `"ka\te"@example.org`, "kate+x@example.org"} {
		if !w.May("kate", a) {
			t.Errorf("%q is not kate's", a)
		}
	}
}
