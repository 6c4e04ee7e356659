package config

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// checker collects what is wrong between keys.
type checker struct {
	*Config
	problems Problems
}

// check finds what no single value shows: names that do not exist, settings
// that contradict each other, and those that need a word to be allowed.
func (c *Config) check() Problems {
	k := &checker{Config: c}
	k.listeners()
	k.auth()
	k.acme()
	k.relay()
	k.routes()
	k.chains()
	k.signsLast()
	k.api()
	k.webhooks()
	k.submission()
	k.order("delivery.max_backoff", c.Delivery.MinBackoff, c.Delivery.MaxBackoff, "delivery.min_backoff")
	if c.Delivery.DestinationInitial > c.Delivery.DestinationMax {
		k.add("delivery.destination_max", "destination_max is less than destination_initial", "")
	}
	return k.problems
}

func (k *checker) add(key, message, hint string) {
	if len(k.problems) < maxProblems {
		k.problems = append(k.problems, &Problem{k.File, k.Position(key), key, message, hint})
	}
}

func (k *checker) order(key string, low, high time.Duration, other string) {
	if high < low {
		k.add(key, fmt.Sprintf("%s is less than %s", lastKey(key), lastKey(other)), "")
	}
}

func (k *checker) relay() {
	k.narrow("mynetworks", k.MyNetworks, "with it strangers relay through this machine")
	for _, name := range slices.Sorted(maps.Keys(k.Listeners)) {
		l := k.Listeners[name]
		key := "listeners." + name
		k.narrow(key+".xclient", l.XClient, "with it strangers take any address they like")
		k.narrow(key+".proxy_protocol", l.ProxyProtocol, "with it strangers take any address they like")
	}
	for i, d := range k.RelayDomains {
		if slices.Contains(k.LocalDomains, d) {
			k.add(fmt.Sprintf("relay_domains[%d]", i), fmt.Sprintf("%q is in local_domains too", d), "a domain is either delivered here or handed on")
		}
	}
}

// narrow refuses networks that hold much of the Internet.
func (k *checker) narrow(key string, networks Networks, why string) {
	if k.OpenRelay {
		return
	}
	for _, p := range networks {
		if p.Addr().Is4() && p.Bits() < 8 || p.Addr().Is6() && p.Bits() < 16 {
			k.add(key, fmt.Sprintf("%s in %s: %s", p, lastKey(key), why), "name the networks that are yours; if it is really meant, say allow_open_relay: true")
		}
	}
}

func (k *checker) routes() {
	seen := map[string]bool{}
	for i, r := range k.Routes {
		key := fmt.Sprintf("routes[%d]", i)
		if seen[strings.ToLower(r.Match)] {
			k.add(key+".match", fmt.Sprintf("a second route for %q", r.Match), "keep one of them")
		}
		seen[strings.ToLower(r.Match)] = true
		if r.Transport == "smtp" && r.NextHop != "" {
			if _, err := checkNextHop(r.NextHop); err != nil {
				k.add(key+".next_hop", err.Error(), hintOf(err))
			}
		}
		if r.Transport == "maildir" && strings.ContainsAny(r.NextHop, "/\x00") {
			k.add(key+".next_hop", "a mailbox is a name, without /", "")
		}
	}
	if k.Smarthost != "" && seen["*"] {
		k.add("smarthost", "there is a route for everything as well", "keep one of them")
	}
}

func (k *checker) chains() {
	filters := slices.Sorted(maps.Keys(k.Filters))
	for _, name := range filters {
		f := k.Filters[name]
		k.filter("filters."+name, f)
		k.order("filters."+name+".max_lease", f.Lease, f.MaxLease, "lease")
		if f.MaxClaims >= k.Queue.MaxClaims {
			k.add("filters."+name+".max_claims", fmt.Sprintf("filter %q has max_claims %d, and queue.max_claims is %d: messages would be held before the rule on.crash", name, f.MaxClaims, k.Queue.MaxClaims), "make it less than queue.max_claims")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(k.Chains)) {
		key := "chains." + name + ".filters"
		if len(k.Chains[name].Filters) == 0 {
			k.add(key, "a chain without filters", "for no filtering name no chain at the listener")
		}
		seen := map[string]bool{}
		for i, f := range k.Chains[name].Filters {
			at := fmt.Sprintf("%s[%d]", key, i)
			if seen[f] {
				k.add(at, fmt.Sprintf("the filter %q comes twice in chain %q: mail would go in a circle", f, name), "keep the first")
			}
			seen[f] = true
			k.known(at, "filter", f, filters)
		}
	}
}

// known checks a reference.
func (k *checker) known(key, what, name string, names []string) {
	if slices.Contains(names, name) {
		return
	}
	hint := fmt.Sprintf("there is no %s at all", what)
	if n := nearest(name, names); n != "" {
		hint = fmt.Sprintf("did you mean %q?", n)
	} else if len(names) > 0 {
		hint = "there are " + strings.Join(names, ", ")
	}
	k.add(key, fmt.Sprintf("no %s called %q", what, name), hint)
}

func (k *checker) api() {
	filters := slices.Sorted(maps.Keys(k.Filters))
	for _, name := range slices.Sorted(maps.Keys(k.API.Tokens)) {
		k.scopes("api.tokens."+name+".scopes", k.API.Tokens[name].Scopes, filters)
	}
	for i, p := range k.API.Peers {
		key := fmt.Sprintf("api.peers[%d]", i)
		if (p.UID == nil) == (p.GID == nil) {
			k.add(key, "a peer has either a uid or a gid", "")
		}
		k.scopes(key+".scopes", p.Scopes, filters)
	}
	k.certificate("api.tls", k.API.TLS)
	if k.API.TLS.Certificate != "" || k.API.AllowPlaintext {
		return
	}
	for i, a := range k.API.Listen {
		if !netip.MustParseAddrPort(a).Addr().IsLoopback() {
			k.add(fmt.Sprintf("api.listen[%d]", i), a+" can be reached from elsewhere, and tokens would pass in the clear", "give api.tls, or say api.allow_plaintext: true when something else encrypts")
		}
	}
}

func (k *checker) scopes(key string, scopes, filters []string) {
	for i, s := range scopes {
		if f, ok := strings.CutPrefix(s, "filter:"); ok && f != "*" {
			k.known(fmt.Sprintf("%s[%d]", key, i), "filter", f, filters)
		}
	}
}
