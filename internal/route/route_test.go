package route_test

import (
	"strings"
	"testing"

	"mtad/internal/route"
)

func table(t testing.TB, o route.Options) *route.Table {
	t.Helper()
	tab, err := route.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func options() route.Options {
	return route.Options{
		Local:     []string{"Local.Test", "bücher.test", "[127.0.0.1]"},
		Delimiter: "+",
		Relay:     []string{"relay.test", ".sub.test"},
		Rules: []route.Rule{
			{Match: "vip@out.test", Transport: "smtp", NextHop: "[192.0.2.7]:2525"},
			{Match: "out.test", Transport: "smtp", NextHop: "mx.out.test"},
			{Match: ".below.test", Transport: "smtp", NextHop: "[gw.test]"},
			{Match: ".deep.below.test", Transport: "smtp"},
			{Match: "gone@local.test", Transport: "error", NextHop: "550 5.1.6 moved away"},
			{Match: "void.test", Transport: "discard"},
			{Match: "boxes.test", Transport: "maildir"},
		},
	}
}

func TestMostSpecificRuleWins(t *testing.T) {
	tab := table(t, options())
	for _, c := range []struct{ path, transport, nextHop string }{
		{"Alice@local.test", "maildir", "alice"},
		{"alice+list@LOCAL.test", "maildir", "alice"},
		{`"alice smith"@local.test`, "maildir", "alice smith"},
		{`"al\ice"@local.test`, "maildir", "alice"},
		{"a@BÜCHER.test", "maildir", "a"},
		{"a@xn--bcher-kva.test", "maildir", "a"},
		{"a@[127.0.0.1]", "maildir", "a"},
		{"postmaster", "maildir", "postmaster"},
		{"gone@local.test", "error", "550 5.1.6 moved away"},
		{"gone+x@local.test", "error", "550 5.1.6 moved away"},
		{"vip@out.test", "smtp", "[192.0.2.7]:2525"},
		{"VIP+a@OUT.test", "smtp", "[192.0.2.7]:2525"},
		{"else@out.test", "smtp", "mx.out.test"},
		{"a@below.test", "smtp", "below.test"},
		{"a@x.below.test", "smtp", "[gw.test]"},
		{"a@y.x.below.test", "smtp", "[gw.test]"},
		{"a@x.deep.below.test", "smtp", "x.deep.below.test"},
		{"a@void.test", "discard", ""},
		{"Bob@boxes.test", "maildir", "bob"},
		{"a@Example.NET", "smtp", "example.net"},
		{"a@example.net.", "smtp", "example.net"},
		{"a@münchen.test", "smtp", "xn--mnchen-3ya.test"},
		{"a@[192.0.2.1]", "smtp", "[192.0.2.1]"},
		{"a@[IPv6:2001:DB8::0:1]", "smtp", "[2001:db8::1]"},
		{`"a@b"@example.net`, "smtp", "example.net"},
	} {
		r, err := tab.Resolve(c.path)
		if err != nil || r.Transport != c.transport || r.NextHop != c.nextHop {
			t.Errorf("Resolve(%q) = %+v, %v; want %s:%s", c.path, r, err, c.transport, c.nextHop)
		}
	}
}

func TestSmarthostTakesWhatHasNoRule(t *testing.T) {
	o := options()
	o.Smarthost = "[127.0.0.1]:2526"
	tab := table(t, o)
	for path, want := range map[string]string{
		"a@example.net": "[127.0.0.1]:2526", "a@[192.0.2.1]": "[127.0.0.1]:2526",
		"a@out.test": "mx.out.test", "a@local.test": "a", "a@x.deep.below.test": "x.deep.below.test",
	} {
		if r, err := tab.Resolve(path); err != nil || r.NextHop != want {
			t.Errorf("Resolve(%q) = %+v, %v; want next hop %s", path, r, err, want)
		}
	}
}

func TestWildcardStandsBelowLocalDomains(t *testing.T) {
	o := options()
	o.Rules = append(o.Rules, route.Rule{Match: "*", Transport: "smtp", NextHop: "[gw]"})
	tab := table(t, o)
	for path, want := range map[string]string{"a@local.test": "a", "a@example.net": "[gw]", "a@relay.test": "[gw]"} {
		if r, err := tab.Resolve(path); err != nil || r.NextHop != want {
			t.Errorf("Resolve(%q) = %+v, %v; want next hop %s", path, r, err, want)
		}
	}
}

func TestBadPathsArePermanentlyRefused(t *testing.T) {
	tab := table(t, options())
	for path, code := range map[string]string{
		"":                                       "5.1.3",
		"@local.test":                            "5.1.3",
		"a@":                                     "5.1.3",
		`"a@local.test`:                          "5.1.3",
		`"a\`:                                    "5.1.3",
		`""@local.test`:                          "5.1.3",
		`"a"b@local.test`:                        "5.1.3",
		"a\xff@local.test":                       "5.1.3",
		strings.Repeat("a", 2000) + "@x.net":     "5.1.3",
		"a@" + strings.Repeat("a", 64) + ".test": "5.1.2",
		"a@" + strings.Repeat("a.", 130) + "test": "5.1.2",
		"a@x..test":                              "5.1.2",
		"a@-x.test":                              "5.1.2",
		"a@x y.test":                             "5.1.2",
		"a@x/../y":                               "5.1.2",
		"a@[1.2.3.4":                             "5.1.2",
		"a@[fe80::1%lo]":                         "5.1.2",
		"a@[IPv6:1.2.3.4]":                       "5.1.2",
		"a@[x:y]":                                "5.1.2",
		"..@local.test":                          "5.1.1",
		".@local.test":                           "5.1.1",
		"../x@local.test":                        "5.1.1",
		"a/b@local.test":                         "5.1.1",
		`"a\\b"@local.test`:                      "5.1.1",
		"a\x00b@local.test":                      "5.1.1",
		"a\nb@local.test":                        "5.1.1",
		"a\u202eb@local.test":                    "5.1.1",
		".ssh@local.test":                        "5.1.1",
		"-rf@local.test":                         "5.1.1",
		"~root@local.test":                       "5.1.1",
		"C:x@local.test":                         "5.1.1",
		strings.Repeat("a", 201) + "@local.test": "5.1.1",
		"u%out.test@local.test":                  "5.7.1",
		"out.test!u@local.test":                  "5.7.1",
		`"u@out.test"@local.test`:                "5.7.1",
		"u@out.test@local.test":                  "5.7.1",
		"u@out.test@boxes.test":                  "5.7.1",
	} {
		r, err := tab.Resolve(path)
		reply, ok := route.ReplyOf(err)
		if !ok || reply.Enhanced != code || reply.Code < 500 {
			t.Errorf("Resolve(%.40q) = %+v, %v; want %s", path, r, err, code)
		}
		if r.Transport != "error" || !strings.Contains(r.NextHop, code) {
			t.Errorf("Resolve(%.40q) route is %+v, want error with %s", path, r, code)
		}
	}
}

func TestListedMailboxesAreTheOnlyOnes(t *testing.T) {
	o := options()
	o.Mailboxes = []string{"Alice"}
	tab := table(t, o)
	if r, err := tab.Resolve("ALICE+x@local.test"); err != nil || r.NextHop != "alice" {
		t.Errorf("listed mailbox: %+v, %v", r, err)
	}
	if _, err := tab.Resolve("bob@local.test"); err == nil {
		t.Error("an unlisted mailbox was accepted")
	}
}

func TestWithoutDelimiterTheExtensionIsKept(t *testing.T) {
	tab := table(t, route.Options{Local: []string{"local.test"}})
	if r, err := tab.Resolve("alice+list@local.test"); err != nil || r.NextHop != "alice+list" {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestLocalAndRelayDomains(t *testing.T) {
	tab := table(t, options())
	for _, c := range []struct {
		domain       string
		local, relay bool
	}{
		{"LOCAL.test", true, false}, {"x.local.test", false, false}, {"[127.0.0.1]", true, false},
		{"[IPv6:::ffff:127.0.0.1]", true, false},
		{"relay.test", false, true}, {"x.relay.test", false, false},
		{"sub.test", false, false}, {"a.b.SUB.test", false, true}, {"xsub.test", false, false},
		{"out.test", false, false}, {"", false, false}, {"[::1]", false, false},
	} {
		if l, r := tab.Local(c.domain), tab.Relay(c.domain); l != c.local || r != c.relay {
			t.Errorf("%q: local %v, relay %v; want %v, %v", c.domain, l, r, c.local, c.relay)
		}
	}
}

func TestNewRefusesWhatCannotBeLookedUp(t *testing.T) {
	for name, o := range map[string]route.Options{
		"local":     {Local: []string{"a b"}},
		"relay":     {Relay: []string{"."}},
		"mailbox":   {Mailboxes: []string{"../x"}},
		"match":     {Rules: []route.Rule{{Match: "a@", Transport: "smtp"}}},
		"twice":     {Rules: []route.Rule{{Match: "x.test", Transport: "smtp"}, {Match: "X.test.", Transport: "smtp"}}},
		"transport": {Rules: []route.Rule{{Match: "x.test"}}},
		"delimiter": {Delimiter: "+-"},
	} {
		if _, err := route.New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
