package config

import (
	"errors"
	"os"
	"testing"
	"time"
)

// Whatever the file holds, Parse answers with a complete configuration or with
// problems whose places are in the file.
func FuzzParse(f *testing.F) {
	full, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(full))
	for _, s := range []string{"", "a: [", "? a\n: b", "<<: *x", "listeners: {a: {address: '127.0.0.1:0'}}", "- - - -", "hostname: |\n  x", "mynetworks: [::1]", "\t", "a: !!binary x", "%YAML 1.2\n---\n", "routes: [{match: '*'}]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		cfg, err := Parse("f", []byte(text))
		if err == nil {
			if cfg.Hostname == "" || cfg.Spool.Directory == "" || cfg.Queue.Active < 1 {
				t.Fatalf("incomplete: %+v", cfg)
			}
			return
		}
		ps, ok := errors.AsType[Problems](err)
		if !ok || len(ps) == 0 || len(ps) > maxProblems {
			t.Fatalf("not problems: %v", err)
		}
		for _, p := range ps {
			if p.Message == "" || p.Line < 0 || p.Line > len(text)+2 {
				t.Fatalf("bad problem: %+v", p)
			}
		}
	})
}

func FuzzDuration(f *testing.F) {
	for _, s := range []string{"0", "5m", "1h30m", "5d", "100ms", "2w", "1m1m", "1", "9223372036854775807w"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDuration(s)
		if err != nil {
			return
		}
		if d < 0 || d%time.Millisecond != 0 {
			t.Fatalf("%q is %v", s, d)
		}
		if again, err := ParseDuration(FormatDuration(d)); err != nil || again != d {
			t.Fatalf("%q is %v, written %q, read %v, %v", s, d, FormatDuration(d), again, err)
		}
	})
}

func FuzzSize(f *testing.F) {
	for _, s := range []string{"0", "1", "50M", "8388607T", "8388608T", "K", "1KM"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseSize(s)
		if err != nil {
			return
		}
		if again, err := ParseSize(n.String()); n < 0 || err != nil || again != n {
			t.Fatalf("%q is %d, written %q, read %d, %v", s, n, n, again, err)
		}
	})
}
