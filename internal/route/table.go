package route

import (
	"fmt"
	"strings"
)

// The transports a Route names. What they do is package deliver's.
const (
	SMTP    = "smtp"
	LMTP    = "lmtp"
	Maildir = "maildir"
	Discard = "discard"
	Fail    = "error"
)

// Route is where a recipient goes.
type Route struct {
	// Transport is how: "smtp", "lmtp", "maildir", "discard", "error".
	Transport string
	// NextHop is where to: for smtp a domain to look up by MX ("example.net",
	// "example.net:2525"), a literal or a host as it is ("[192.0.2.1]",
	// "[mail.example.net]:2525"); for maildir the mailbox; for error the reply.
	NextHop string
}

// Rule sends what it matches to a transport.
type Rule struct {
	// Match is a domain, ".domain" for all domains below it, "user@domain", or "*".
	Match string
	// Transport is one of the constants above.
	Transport string
	// NextHop as in Route. Empty: for smtp and lmtp the recipient's domain, for
	// maildir the recipient's mailbox.
	NextHop string
}

// Options say what is routed where. The zero value sends everything to the
// recipient's domain.
type Options struct {
	// Local are the domains whose mailboxes are here. Address literals are allowed.
	Local []string
	// LocalTransport takes their mail; "" is Maildir.
	LocalTransport string
	// Mailboxes, if not nil, are the only local mailboxes: others are refused with
	// 550 5.1.1. Nil accepts every name.
	Mailboxes []string
	// Delimiter, one octet, begins the extension of a local part ("+"): then
	// "alice+list" goes to the mailbox "alice". Empty: the whole local part is the
	// mailbox.
	Delimiter string
	// Relay are the domains accepted from anybody, to be handed on; ".example.org"
	// stands for all domains below.
	Relay []string
	// Rules, each Match once at the most.
	Rules []Rule
	// Smarthost takes all that has no rule and is not local.
	Smarthost string
}

// Table is Options, checked and indexed.
type Table struct {
	local     map[string]bool
	transport string
	mailboxes map[string]bool
	delimiter string
	relay     map[string]bool
	rules     map[string]Route
	smarthost string
}

// New checks o and makes a Table. Its errors name the entry that is wrong.
func New(o Options) (*Table, error) {
	t := &Table{
		local: map[string]bool{}, relay: map[string]bool{}, rules: map[string]Route{},
		transport: o.LocalTransport, delimiter: o.Delimiter, smarthost: o.Smarthost,
	}
	if t.transport == "" {
		t.transport = Maildir
	}
	if len(o.Delimiter) > 1 {
		return nil, fmt.Errorf("route: delimiter %q is longer than one octet", o.Delimiter)
	}
	for _, d := range o.Local {
		name, err := Domain(d)
		if err != nil {
			return nil, fmt.Errorf("route: local domain %q: %w", d, err)
		}
		t.local[name] = true
	}
	for _, d := range o.Relay {
		name, err := pattern(d)
		if err != nil {
			return nil, fmt.Errorf("route: relay domain %q: %w", d, err)
		}
		t.relay[name] = true
	}
	if err := t.setMailboxes(o.Mailboxes); err != nil {
		return nil, err
	}
	if err := t.setRules(o.Rules); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Table) setMailboxes(names []string) error {
	if names == nil {
		return nil
	}
	t.mailboxes = make(map[string]bool, len(names))
	for _, n := range names {
		name, err := Mailbox(n)
		if err != nil {
			return err
		}
		t.mailboxes[name] = true
	}
	return nil
}

func (t *Table) setRules(rules []Rule) error {
	for _, r := range rules {
		key, err := matchKey(r.Match)
		if err != nil {
			return fmt.Errorf("route: match %q: %w", r.Match, err)
		}
		if _, twice := t.rules[key]; twice {
			return fmt.Errorf("route: match %q is there twice", r.Match)
		}
		if r.Transport == "" {
			return fmt.Errorf("route: match %q has no transport", r.Match)
		}
		t.rules[key] = Route{Transport: r.Transport, NextHop: r.NextHop}
	}
	return nil
}

// matchKey is the form in which a Match is looked up.
func matchKey(m string) (string, error) {
	if m == "*" {
		return m, nil
	}
	local, domain, ok := split(m)
	if !ok {
		return "", errDomain
	}
	if domain == "" {
		return pattern(m)
	}
	d, err := Domain(domain)
	return lower(local) + "@" + d, err
}

// pattern is a domain, or ".domain".
func pattern(m string) (string, error) {
	if rest, below := strings.CutPrefix(m, "."); below {
		d, err := Domain(rest)
		return "." + d, err
	}
	return Domain(m)
}
