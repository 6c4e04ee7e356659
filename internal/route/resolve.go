package route

import "strings"

// Local reports whether the mailboxes of domain are here. What is not a domain
// is not.
func (t *Table) Local(domain string) bool {
	d, err := Domain(domain)
	return err == nil && t.local[d]
}

// Relay reports whether mail for domain is accepted from anybody to be handed
// on. A rule for a domain does not make it a relay domain.
func (t *Table) Relay(domain string) bool {
	d, err := Domain(domain)
	return err == nil && matchDomain(t.relay, d)
}

func matchDomain(set map[string]bool, d string) bool {
	if set[d] {
		return true
	}
	for _, parent := range parents(d) {
		if set[parent] {
			return true
		}
	}
	return false
}

// parents lists ".example.org", ".org" for "mail.example.org", nearest first.
func parents(d string) []string {
	if d[0] == '[' {
		return nil
	}
	var list []string
	for i := range len(d) {
		if d[i] == '.' {
			list = append(list, d[i:])
		}
	}
	return list
}

// Resolve says where path, a mailbox without brackets, goes. Every error is a
// permanent *Error; the Route beside it is the "error" transport with the same
// reply, so that a recipient that is in the queue already fails and is reported.
// A path without a domain is local.
func (t *Table) Resolve(path string) (Route, error) {
	r, err := t.resolve(path)
	if err != nil {
		return Route{Transport: Fail, NextHop: err.Reply.String()}, err
	}
	return r, nil
}

func (t *Table) resolve(path string) (Route, *Error) {
	local, rawDomain, ok := split(path)
	if !ok {
		return Route{}, refuse(path, 501, "5.1.3", "bad recipient address syntax")
	}
	if rawDomain == "" {
		return t.toMailbox(local, path)
	}
	domain, err := Domain(rawDomain)
	if err != nil {
		return Route{}, refuse(path, 501, "5.1.2", "bad recipient domain")
	}
	if rule, found := t.rule(local, domain); found {
		return t.follow(rule, local, domain, path)
	}
	if t.local[domain] {
		return t.toMailbox(local, path)
	}
	if rule, found := t.rules["*"]; found {
		return t.follow(rule, local, domain, path)
	}
	if t.smarthost != "" {
		return Route{Transport: SMTP, NextHop: t.smarthost}, nil
	}
	return Route{Transport: SMTP, NextHop: domain}, nil
}

// rule finds the most specific rule other than "*".
func (t *Table) rule(local, domain string) (Route, bool) {
	if len(t.rules) == 0 {
		return Route{}, false
	}
	name := lower(local)
	keys := [3]string{name + "@" + domain, t.base(name) + "@" + domain, domain}
	for _, k := range keys {
		if r, ok := t.rules[k]; ok {
			return r, true
		}
	}
	for _, k := range parents(domain) {
		if r, ok := t.rules[k]; ok {
			return r, true
		}
	}
	return Route{}, false
}

// base is the local part without its extension.
func (t *Table) base(local string) string {
	if t.delimiter == "" {
		return local
	}
	if i := strings.Index(local, t.delimiter); i > 0 {
		return local[:i]
	}
	return local
}

// follow fills in what a rule leaves open.
func (t *Table) follow(r Route, local, domain, path string) (Route, *Error) {
	if r.NextHop != "" {
		return r, nil
	}
	switch r.Transport {
	case Maildir:
		name, err := t.mailbox(local, path)
		r.NextHop = name
		return r, err
	case SMTP, LMTP:
		r.NextHop = domain
	}
	return r, nil
}

func (t *Table) toMailbox(local, path string) (Route, *Error) {
	name, err := t.mailbox(local, path)
	if err != nil {
		return Route{}, err
	}
	if t.mailboxes != nil && !t.mailboxes[name] {
		return Route{}, refuse(path, noMailbox.Code, noMailbox.Enhanced, noMailbox.Text)
	}
	return Route{Transport: t.transport, NextHop: name}, nil
}

func (t *Table) mailbox(local, path string) (string, *Error) {
	if r, bad := mailboxFault(local); bad {
		return "", refuse(path, r.Code, r.Enhanced, r.Text)
	}
	return lower(t.base(local)), nil
}
