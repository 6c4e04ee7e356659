package smtp

import (
	"strings"
	"testing"
)

func TestParsePath(t *testing.T) {
	long := strings.Repeat("a", MaxLocal)
	label := strings.Repeat("b", 63)
	for in, want := range map[string]string{
		"<>":                                     "",
		"<a@b.example>":                          "a@b.example",
		"<A.b+c=d@B.Example>":                    "A.b+c=d@B.Example",
		"<a>":                                    "a",
		`<"a b"@c>`:                              `"a b"@c`,
		`<"a"@c>`:                                `a@c`,
		`<"a\"\\b"@c>`:                           `"a\"\\b"@c`,
		`<"\a\b"@c>`:                             `ab@c`,
		`<""@c>`:                                 `""@c`,
		`<"a..b"@c>`:                             `"a..b"@c`,
		`<"a>b"@c>`:                              `"a>b"@c`,
		"<@r1,@r2.example:a@b>":                  "a@b",
		"<@r:a@b>":                               "a@b",
		"<a@[192.0.2.1]>":                        "a@[192.0.2.1]",
		"<a@[IPv6:2001:db8::1]>":                 "a@[IPv6:2001:db8::1]",
		"<a@b_c.example>":                        "a@b_c.example",
		"<a@xn--bcher-kva.example>":              "a@xn--bcher-kva.example",
		"<ä@ö.example>":                          "ä@ö.example",
		"<!#$%&'*+-/=?^_`{|}~@b>":                "!#$%&'*+-/=?^_`{|}~@b",
		"<" + long + "@b>":                       long + "@b",
		"<a@" + label + ">":                      "a@" + label,
		"<a@" + strings.Repeat("c.", 127) + "c>": "a@" + strings.Repeat("c.", 127) + "c",
	} {
		p, rest, err := ParsePath(in+" REST", true)
		if err != nil || p.String() != want || rest != " REST" {
			t.Errorf("%q: %q, rest %q, %v; want %q", in, p, rest, err, want)
		}
	}
}

func TestBadPaths(t *testing.T) {
	for _, in := range []string{
		"", "a@b", "<", "<a", "<a@b", "a@b>", "<a@>", "<@b>", "<@>", "<a@@b>", "<a@b@c>", "<a@b.>", "<a@.b>", "<a@b..c>", "<a@-b>", "<a@b->",
		"<.a@b>", "<a.@b>", "<a..b@c>", "<a b@c>", "<a@b c>", "<(x)a@b>", "<a(x)@b>", "<a,b@c>", "<a;b@c>", "<a:b@c>", "<a<b@c>", "<a\\b@c>", "<a\"b\"@c>",
		`<"a@b>`, `<"a\"@b>`, `<"a"b@c>`, `<"a" @c>`, "<\"a\x01\"@b>", "<\"a\\\x01\"@b>", "<a\x00@b>", "<a\x7f@b>", "<a\t@b>",
		"<a@[]>", "<a@[1.2.3]>", "<a@[1.2.3.4>", "<a@1.2.3.4]>", "<a@[1.2.3.4.5]>", "<a@[::1]>", "<a@[IPv6:1.2.3.4]>", "<a@[IPv6:fe80::1%lo]>", "<a@[tag:x]>",
		"<@r>", "<@r:>", "<@r a@b>", "<@r,a@b>", "<@r:@s:a@b>", "<@r,@:a@b>", "<@:a@b>", "<:a@b>", "<@r.:a@b>",
		"<a@\xff>", "<\xff@b>", "<\"\\\xc3\xa4\"@b>",
		"<" + strings.Repeat("a", MaxLocal+1) + "@b>", "<a@" + strings.Repeat("b", 64) + ">", "<a@" + strings.Repeat("c.", 127) + "cc>",
		"<" + strings.Repeat("@r.example,", 100) + "@r:a@b>",
	} {
		if p, _, err := ParsePath(in, true); err == nil {
			t.Errorf("%q was taken as %q", in, p)
		}
	}
	for _, in := range []string{"<ä@b>", "<a@ö>", `<"ä"@b>`} {
		if p, _, err := ParsePath(in, false); err == nil {
			t.Errorf("%q was taken without SMTPUTF8 as %q", in, p)
		}
	}
}

// What is printed is read back as the same mailbox, in one spelling, and holds
// nothing that could end a line or leave the brackets.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"<>", "<a@b>", `<"a \"b\\"@c>`, "<@r,@s:a@[IPv6:::1]>", "<ä@ö.example> X", "<a%b@c>", `<"a@b"@c>`} {
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, s string, utf8ok bool) {
		p, rest, err := ParsePath(s, utf8ok)
		if err != nil {
			return
		}
		if !strings.HasSuffix(s, ">"+rest) {
			t.Fatalf("%q: rest %q", s, rest)
		}
		text := p.String()
		if strings.ContainsAny(text, "\r\n\x00") || !utf8ok && !IsASCII(text) {
			t.Fatalf("%q: %q", s, text)
		}
		if p.Null() {
			return
		}
		again, rest, err := ParsePath("<"+text+">", utf8ok)
		if err != nil || rest != "" || again.String() != text || again.Local != p.Local || again.Domain != p.Domain {
			t.Fatalf("%q: %q is read back as %q, %v", s, text, again, err)
		}
	})
}
