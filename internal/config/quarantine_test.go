package config

import (
	"testing"
	"time"
)

func TestFiltersTakeTheirQuarantineFromTheGeneralOne(t *testing.T) {
	const filters = "filters: {a: {}, b: {quarantine: {keep: 1h}}, c: {quarantine: {keep: 0, then: release}}}\n"
	for _, c := range []struct {
		text string
		a    time.Duration
		then string
	}{
		{filters, 0, ThenDelete},
		{filters + "quarantine: {keep: 30d, then: bounce}\n", 30 * 24 * time.Hour, ThenBounce},
	} {
		cfg, err := Parse("f", []byte(c.text+"hostname: mx.test\nspool: {directory: /var/spool/mtad}\n"))
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]Quarantine{"a": {c.a, c.then}, "b": {time.Hour, c.then}, "c": {0, ThenRelease}} {
			if q := cfg.Filters[name].Quarantine; *q.Keep != want.Keep || q.Then != want.Then {
				t.Errorf("%s: %v %s, want %v %s", name, *q.Keep, q.Then, want.Keep, want.Then)
			}
		}
	}
	if _, err := Parse("f", []byte("quarantine: {then: forget}\n")); err == nil {
		t.Error("an end there is none of was taken")
	}
}
