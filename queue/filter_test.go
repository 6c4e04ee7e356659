package queue

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseFilterReadsEveryTerm(t *testing.T) {
	yes, no, dsn := true, false, OriginDSN
	for _, c := range []struct {
		text string
		want Filter
	}{
		{"", Filter{}},
		{" \t\r\n", Filter{}},
		{"state=deferred,incoming", Filter{States: []State{Deferred, Incoming}}},
		{"id=01hf8zq4z8m2t,01HF8ZQ4Z8M2T.2", Filter{IDs: []ID{"01HF8ZQ4Z8M2T", "01HF8ZQ4Z8M2T.2"}}},
		{"sender=*@example.org", Filter{Sender: "*@example.org"}},
		{"sender=<>", Filter{Sender: "<>"}},
		{`recipient="a b"@x`, Filter{Recipient: `"a b"@x`}},
		{`recipient="\"a b\"@x"`, Filter{Recipient: `"a b"@x`}},
		{`reason="two words"`, Filter{Reason: "two words"}},
		{`reason="back\\slash"`, Filter{Reason: `back\slash`}},
		{`reason=a\b`, Filter{Reason: `a\b`}},
		{"next-hop=[192.0.2.1]:25 stage=clamav chain=in", Filter{NextHop: "[192.0.2.1]:25", Stage: "clamav", Chain: "in"}},
		{"held", Filter{Held: &yes}},
		{"held=yes hold-by=operator:*", Filter{Held: &yes, HoldBy: "operator:*"}},
		{"held=no", Filter{Held: &no}},
		{"quarantined age>1d", Filter{Quarantined: &yes, OlderThan: 24 * time.Hour}},
		{"quarantined=no", Filter{Quarantined: &no}},
		{"origin=dsn parent=01HF8ZQ4Z8M2T", Filter{Origin: &dsn, Parent: "01HF8ZQ4Z8M2T"}},
		{"age>1h age<2d", Filter{OlderThan: time.Hour, YoungerThan: 48 * time.Hour}},
		{"age>1w2d3h4m5s", Filter{OlderThan: (9*24+3)*time.Hour + 4*time.Minute + 5*time.Second}},
		{"size>10M size<=1G", Filter{MinSize: 10<<20 + 1, MaxSize: 1 << 30}},
		{"size>=5 size<2K", Filter{MinSize: 5, MaxSize: 2047}},
		{"next_hop=example.net hold_by=filter:*", Filter{NextHop: "example.net", HoldBy: "filter:*"}}, // as in JSON
		{"held=true size<2k", Filter{Held: &yes, MaxSize: 2047}},
		{"held=false", Filter{Held: &no}},
		{"sender==odd", Filter{Sender: "=odd"}},
	} {
		got, err := ParseFilter(c.text)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("ParseFilter(%q) = %+v, %v; want %+v", c.text, got, err, c.want)
		}
	}
}

func TestParseFilterNamesTheWrongTermAndItsPosition(t *testing.T) {
	for _, c := range []struct {
		text, term string
		pos        int
		reason     string
	}{
		{"state=waiting", "state=waiting", 0, `no state "waiting"`},
		{"state=", "state=", 0, "empty value"},
		{"state=deferred,", "state=deferred,", 0, "no state"},
		{"held size>x", "size>x", 5, "want a size"},
		{"size=3", "size=3", 0, "want size> or size<"},
		{"size<1", "size<1", 0, "want a size"},
		{"size>-1", "size>-1", 0, "want a size"},
		{"size>99999999999G", "size>99999999999G", 0, "want a size"},
		{"age>1", "age>1", 0, "want an age"},
		{"age>h", "age>h", 0, "want an age"},
		{"age>0s", "age>0s", 0, "want an age"},
		{"age>-1h", "age>-1h", 0, "want an age"},
		{"age>1000y", "age>1000y", 0, "want an age"},
		{"age>6000w", "age>6000w", 0, "want an age"}, // over a century
		{"age>5000w5000w", "age>5000w5000w", 0, "want an age"},
		{"  id=xyz", "id=xyz", 2, "invalid queue ID"},
		{"parent=a,b", "parent=a,b", 0, "invalid queue ID"},
		{"origin=uucp", "origin=uucp", 0, "no origin"},
		{"held=maybe", "held=maybe", 0, "held=no"},
		{"quarantined=1", "quarantined=1", 0, "quarantined=no"},
		{"quarantined quarantined=no", "quarantined=no", 12, "given twice"},
		{"colour=red", "colour=red", 0, "no such term"},
		{"sender=", "sender=", 0, "sender=<>"},
		{"sender>x", "sender>x", 0, "want sender=value"},
		{"stage=a stage=b", "stage=b", 8, "given twice"},
		{"held held=no", "held=no", 5, "given twice"},
		{"next-hop=a next_hop=b", "next_hop=b", 11, "given twice"},
		{"sender=\xff", "sender=?", 0, "not UTF-8"},
		{"STATE=deferred", "STATE=deferred", 0, "no such term"},
		{"deferred", "deferred", 0, "want name=value"},
		{`x reason="open`, "x", 0, "want name=value"},
		{`reason="open`, `reason="open`, 0, "not closed"},
		{`reason="a\n"`, `reason="a\n"`, 0, `\ stands before`},
		{"sender=" + strings.Repeat("a", MaxFilterText), "sender=" + strings.Repeat("a", 73), 0, "over 8192 octets"},
	} {
		_, err := ParseFilter(c.text)
		var fe *FilterError
		if !errors.As(err, &fe) || !errors.Is(err, ErrInvalid) {
			t.Errorf("ParseFilter(%.40q): %v, want a FilterError", c.text, err)
			continue
		}
		if fe.Term != c.term || fe.Pos != c.pos || !strings.Contains(fe.Reason, c.reason) {
			t.Errorf("ParseFilter(%.40q): %v; want term %q at %d with %q", c.text, err, c.term, c.pos, c.reason)
		}
	}
}

func TestParseFilterTakesAnExpressionOfExactlyTheBound(t *testing.T) {
	text := "sender=" + strings.Repeat("a", MaxFilterText-7)
	if _, err := ParseFilter(text); err != nil {
		t.Error(err)
	}
}

func TestFilterStringIsShort(t *testing.T) {
	for _, text := range []string{
		"", "state=deferred,incoming sender=*@example.org next-hop=example.net reason=poison held age>1h age<2d size>10M",
		"id=01HF8ZQ4Z8M2T.2 recipient=\"a b\"@x stage=clamav origin=dsn size<=1G", `reason="two words" size>=1 size<1K`, "age>1d12h",
	} {
		f, err := ParseFilter(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.String(); len(got) > len(text) {
			t.Errorf("String() of %q = %q", text, got)
		}
	}
}

func FuzzParseFilter(f *testing.F) {
	for _, s := range []string{
		`state=deferred,incoming sender=*@example.org next-hop=example.net age>1h size>10M held reason=poison recipient="a b"@x id=01HF8ZQ4Z8M2T stage=clamav origin=dsn`,
		`reason="a \"b\" \\"`, `reason=""`, `hold-by="`, "size>4194304K", "size<1", "age>1w", "held=no parent=01HF8ZQ4Z8M2T", `chain=a"b c"d`, `chain="a""b"`, `chain=""""`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, err := ParseFilter(s)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("ParseFilter(%q): %v is not ErrInvalid", s, err)
			}
			return
		}
		printed := first.String()
		if len(printed) > MaxFilterText {
			return
		}
		second, err := ParseFilter(printed)
		if err != nil || !reflect.DeepEqual(first, second) {
			t.Fatalf("%q is %+v, printed %q is %+v, %v", s, first, printed, second, err)
		}
		first.Match(&Item{ID: "01HF8ZQ4Z8M2T", Generations: []Generation{{}}}, time.Now())
	})
}

func TestFilterMatch(t *testing.T) {
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	item := Item{
		ID: "01HF8ZQ4Z8M2T.2", State: Deferred, Origin: OriginDSN, Parent: "01HF8ZQ4Z8M2S", Chain: "in", Created: now.Add(-time.Hour),
		Generations: []Generation{{Size: 1}, {N: 1, Size: 1000}},
		Envelope: Envelope{ReversePath: "A@Example.org", Recipients: []Recipient{
			{Path: "b@example.net", NextHop: "example.net"}, {Path: "c@example.com", NextHop: "example.com", Status: Relayed},
		}},
		Hold: &Hold{By: "operator:ann", Reason: "looks odd"},
	}
	for text, want := range map[string]bool{
		"":                           true,
		"state=deferred":             true,
		"state=incoming,active":      false,
		"id=01HF8ZQ4Z8M2T":           true,
		"id=01HF8ZQ4Z8M2T.2":         true,
		"id=01HF8ZQ4Z8M2T.1":         false,
		"sender=a@example.org":       true,
		"sender=*@EXAMPLE.ORG":       true,
		"sender=*.org":               true,
		"sender=*example":            false,
		"sender=example":             false,
		"sender=<>":                  false,
		"sender=*@*.*":               true,
		"sender=*":                   true,
		"recipient=c@*":              true,
		"recipient=d@*":              false,
		"next-hop=example.net":       true,
		"next-hop=example.com":       false, // nothing pending there
		"stage=x":                    false,
		"chain=in":                   true,
		"held":                       true,
		"held=no":                    false,
		"hold-by=operator:*":         true,
		"hold-by=filter:*":           false,
		`reason="LOOKS ODD"`:         true,
		"reason=poison":              false,
		"origin=dsn":                 true,
		"origin=smtp":                false,
		"parent=01HF8ZQ4Z8M2S":       true,
		"parent=01HF8ZQ4Z8M2T":       false,
		"age>59m":                    true,
		"age>60m":                    false,
		"age<61m":                    true,
		"age<60m":                    false,
		"size>=1000":                 true,
		"size>1000":                  false,
		"size<=1000":                 true,
		"size<1000":                  false,
		"state=deferred sender=x":    false,
		"state=deferred origin=dsn":  true,
		"age>59m age<61m size>=1000": true,
	} {
		f, err := ParseFilter(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Match(&item, now); got != want {
			t.Errorf("%q matches: %v, want %v", text, got, want)
		}
	}
	item.Envelope.ReversePath = ""
	if !(Filter{Sender: "<>"}).Match(&item, now) {
		t.Error("sender=<> does not match the null reverse-path")
	}
	item.Hold = nil
	if (Filter{Reason: "*"}).Match(&item, now) {
		t.Error("a hold reason matches an item that is not held")
	}
}

func TestFilterPatternWithManyStarsIsQuick(t *testing.T) {
	f := Filter{Sender: strings.Repeat("a*", 1000) + "b"}
	if f.Match(&Item{Envelope: Envelope{ReversePath: strings.Repeat("a", 10000)}, Generations: []Generation{{}}}, time.Now()) {
		t.Error("matched")
	}
}
