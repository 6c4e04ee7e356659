package admission

import (
	"slices"
	"strings"
)

// Grant is what a caller may do. The zero Grant may send with any sender to
// anywhere and claim nothing about the client.
type Grant struct {
	// ClientAttributes: any claim about the client is believed. Otherwise one is
	// refused.
	ClientAttributes bool
	// Senders are the reverse-paths that may be used: "any", "own" (the login name at the
	// host or at a local domain), a mailbox, a domain, or ".domain" for all below it. Empty is any. The null
	// reverse-path may always be used.
	Senders []string
	// From: Senders holds for the addresses in the From field, too. A message without
	// a From that can be read is refused then, unless any may be used.
	From bool
	// LocalOnly: recipients in local domains alone.
	LocalOnly bool
	Chain     string // filter chain; "" has no filters
	// Chains are others that a caller may ask for; "*" is every one there is, and
	// "none" is no filters.
	Chains  []string
	Rate    int   // messages a minute; 0: no bound
	MaxSize int64 // octets of content; 0: Options.MaxSize
}

// Unlimited is the Grant of root and of the user who runs mtad.
func Unlimited(chain string) Grant {
	return Grant{ClientAttributes: true, Chain: chain, Chains: []string{"*", NoChain}}
}

// NoChain is what a caller asks for who wants no filters.
const NoChain = "none"

// Rule gives a Grant to local users.
type Rule struct {
	Everyone bool
	UID, GID int // -1: not by this
	Grant    Grant
}

// Rules is an authorisation list. The first rule that fits decides.
type Rules []Rule

// For finds the Grant of a process. groups are its groups, the primary one
// among them. No rule, no right.
func (r Rules) For(uid int, groups []int) (Grant, bool) {
	for i := range r {
		if r[i].Everyone || r[i].UID >= 0 && r[i].UID == uid || r[i].GID >= 0 && slices.Contains(groups, r[i].GID) {
			return r[i].Grant, true
		}
	}
	return Grant{}, false
}

// maySend says whether path, canonical and with its domain, may be the sender.
func (g *Grant) maySend(path string, own func(local, domain string) bool) bool {
	if path == "" || len(g.Senders) == 0 {
		return true
	}
	at := strings.LastIndexByte(path, '@')
	local, domain := path[:at], path[at+1:]
	return slices.ContainsFunc(g.Senders, func(s string) bool {
		switch {
		case s == "any":
			return true
		case s == "own":
			return own(local, domain)
		case strings.HasPrefix(s, "."):
			return len(domain) > len(s) && strings.EqualFold(domain[len(domain)-len(s):], s)
		case strings.Contains(s, "@"):
			i := strings.LastIndexByte(s, '@')
			return s[:i] == local && strings.EqualFold(s[i+1:], domain)
		}
		return strings.EqualFold(s, domain)
	})
}
