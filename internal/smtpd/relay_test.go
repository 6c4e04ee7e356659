package smtpd

import (
	"testing"
)

// What a stranger may send to. Every form that was ever used to get mail
// through somebody else's server is refused with 5yz.
func TestRelay(t *testing.T) {
	for _, c := range []struct{ name, rcpt, want string }{
		{"our domain", "b@example.org", "250 2.1.5"},
		{"our domain in another case", "b@EXAMPLE.Org", "250 2.1.5"},
		{"our address literal", "b@[127.0.0.1]", "250 2.1.5"},
		{"relay domain", "b@relay.example", "250 2.1.5"},
		{"source route to us", "@else.example,@other.example:b@example.org", "250 2.1.5"},
		{"quoted local part", `"b"@example.org`, "250 2.1.5"},

		{"elsewhere", "b@else.example", "554 5.7.1"},
		{"subdomain", "b@sub.example.org", "554 5.7.1"},
		{"superdomain", "b@org", "554 5.7.1"},
		{"suffix", "b@notexample.org", "554 5.7.1"},
		{"percent hack", "b%else.example@example.org", "554 5.7.1"},
		{"percent hack, quoted", `"b%else.example"@example.org`, "554 5.7.1"},
		{"percent hack, escaped", `"b\%else.example"@example.org`, "554 5.7.1"},
		{"percent hack twice", "b%else.example%x@example.org", "554 5.7.1"},
		{"percent hack at a relay domain", "b%else.example@relay.example", "554 5.7.1"},
		{"percent hack at our literal", "b%else.example@[127.0.0.1]", "554 5.7.1"},
		{"quoted @", `"b@else.example"@example.org`, "554 5.7.1"},
		{"escaped @", `"b\@else.example"@example.org`, "554 5.7.1"},
		{"bang path", "else.example!b@example.org", "554 5.7.1"},
		{"bang path, quoted", `"else.example!b"@example.org`, "554 5.7.1"},
		{"bang path without domain", "else.example!b", "501 5.1.3"},
		{"source route through us", "@example.org:b@else.example", "554 5.7.1"},
		{"source route through us twice", "@example.org,@example.org:b@else.example", "554 5.7.1"},
		{"source route and percent hack", "@example.org:b%else.example@example.org", "554 5.7.1"},
		{"two @", "b@else.example@example.org", "501 5.1.3"},
		{"domain in the local part", "b@else.example@[127.0.0.1]", "501 5.1.3"},
		{"quoted without domain", `"b@else.example"`, "501 5.1.3"},
		{"percent without domain", "b%else.example", "501 5.1.3"},
		{"postmaster elsewhere", "postmaster@else.example", "554 5.7.1"},
		{"postmaster with percent", "postmaster%else.example", "501 5.1.3"},
		{"other literal", "b@[192.0.2.1]", "554 5.7.1"},
		{"our literal mapped into IPv6", "b@[IPv6:::ffff:192.0.2.1]", "554 5.7.1"},
		{"number for a domain", "b@2130706433", "554 5.7.1"},
		{"literal without brackets", "b@192.0.2.1", "554 5.7.1"},
		{"broken literal", "b@[127.0.0.1", "501 5.1.3"},
		{"literal of another kind", "b@[x:example.org]", "501 5.1.3"},
		{"empty literal", "b@[]", "501 5.1.3"},
		{"trailing dot elsewhere", "b@else.example.", "501 5.1.3"},
		{"trailing dot", "b@example.org.", "501 5.1.3"},
		{"leading dot", "b@.example.org", "501 5.1.3"},
		{"two dots", "b@example..org", "501 5.1.3"},
		{"empty domain", "b@", "501 5.1.3"},
		{"empty local part", "@example.org", "501 5.1.3"},
		{"only @", "@", "501 5.1.3"},
		{"space before the domain", "b @example.org", "501 5.1.3"},
		{"white space in the domain", "b@else.example example.org", "501 5.1.3"},
		{"brackets inside", "<b@else.example>@example.org", "501 5.1.3"},
		{"comment", "b(x)@example.org", "501 5.1.3"},
		{"list", "b@example.org,c@else.example", "501 5.1.3"},
		{"backslash", `b\@else.example@example.org`, "501 5.1.3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := openDoor(t).ready()
			p.talk("> MAIL FROM:<>\n< 250\n> RCPT TO:<" + c.rcpt + ">\n< " + c.want)
		})
	}
}

func TestSenderGivesNoRightToRelay(t *testing.T) {
	for _, sender := range []string{"a@example.org", "postmaster@example.org", "a@[127.0.0.1]", "@example.org:a@example.org", "a@relay.example"} {
		p := openDoor(t).ready()
		p.talk("> MAIL FROM:<" + sender + ">\n< 250\n> RCPT TO:<b@else.example>\n< 554 5.7.1")
	}
}

func TestListedNetworksMaySendAnywhere(t *testing.T) {
	d := openDoor(t, trust)
	p := d.ready()
	p.talk(`> MAIL FROM:<a@client.example>
< 250
> RCPT TO:<b@else.example>
< 250
> RCPT TO:<"x@y"@else.example>
< 250
> RCPT TO:<@example.org:c@else.example>
< 250
> DATA
< 354
> .
< 250`)
	var got []string
	for _, it := range d.messages() {
		for _, r := range it.Envelope.Recipients {
			got = append(got, r.Path)
		}
	}
	if len(got) != 3 || got[1] != `"x@y"@else.example` || got[2] != "c@else.example" {
		t.Errorf("recipients %q", got)
	}
}
