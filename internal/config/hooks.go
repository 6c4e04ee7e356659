package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// The kinds that push messages to an HTTP server.
const (
	KindWebhook  = "webhook"
	KindMTAHooks = "mtahooks"
)

// Webhook is what is particular to the kind webhook.
type Webhook struct {
	URL       string `yaml:"url"`
	Plaintext bool   `yaml:"plaintext"`
	CAFile    string `yaml:"ca_file"`
	Auth      string `yaml:"auth"`
	AuthFile  string `yaml:"auth_file"`
	SignFile  string `yaml:"sign_file"`
}

// MTAHooks is what is particular to the kind mtahooks.
type MTAHooks struct {
	URL       string   `yaml:"url"`
	Setup     string   `yaml:"setup"`
	Plaintext bool     `yaml:"plaintext"`
	CAFile    string   `yaml:"ca_file"`
	Auth      string   `yaml:"auth"`
	AuthFile  string   `yaml:"auth_file"`
	Update    []string `yaml:"update"`
	InSession bool     `yaml:"in_session"`
}

// Hook is what the kinds webhook and mtahooks have in common.
type Hook struct {
	URL, CAFile, Auth, AuthFile string
	Plaintext                   bool
}

// Hook returns the HTTP server of a filter; ok is false when it has none.
func (f Filter) Hook() (h Hook, ok bool) {
	switch f.Kind {
	case KindWebhook:
		w := f.Webhook
		return Hook{URL: w.URL, CAFile: w.CAFile, Auth: w.Auth, AuthFile: w.AuthFile, Plaintext: w.Plaintext}, true
	case KindMTAHooks:
		m := f.MTAHooks
		return Hook{URL: m.URL, CAFile: m.CAFile, Auth: m.Auth, AuthFile: m.AuthFile, Plaintext: m.Plaintext}, true
	}
	return h, false
}

// The words of auth and setup.
const (
	AuthNone          = "none"
	AuthBearer        = "bearer"
	AuthBasic         = "basic"
	SetupDiscovery    = "discovery"
	SetupRegistration = "registration"
	SetupEndpoint     = "endpoint"
)

func hookKeys() []Key {
	const w, m = "filters.*.webhook.", "filters.*.mtahooks."
	keys := []Key{
		{Path: w + "url", Is: "url", Live: true, Doc: "Where each message is posted to. No redirect is followed. `filters.*.address`, when it is given, is connected to in place of the URL's host: a unix socket, for example. The kind wants a URL. Default: none."},
		{Path: w + "sign_file", Is: "path", Live: true, Doc: "File with a key; each request then has the field `Mtad-Signature`, by which the handler knows that it is from this mtad, see [spec/filter.md](../spec/filter.md). Default: requests are not signed."},
		{Path: m + "url", Is: "url", Live: true, Doc: "Where the scanner is; what of it, `setup` says. The rest as for `webhook.url`. The kind is experimental, as the draft is. Default: none."},
		{Path: m + "setup", Default: SetupDiscovery, Enum: []string{SetupDiscovery, SetupRegistration, SetupEndpoint}, Live: true, Doc: "What `url` is: the scanner, whose `/.well-known/mta-hooks` says where to register; the registration endpoint; or the hook endpoint itself, with nobody registered."},
		{Path: m + "update", Is: "pointer", Live: true, Doc: "What the scanner may change, as JSON Pointers: of `/action`, `/response`, `/envelope`, `/message` and `/rawMessage`, or parts such as `/message/headers`. An answer that changes something else is the failure `protocol`. Default: all of them."},
	}
	keys = append(keys, Key{Path: m + "in_session", Default: "false", Live: true, Doc: "Ask the scanner while the client speaks, too: at the stages connect, ehlo, mail and rcpt, those of them that it wants, on the listeners whose chain it is in. What it refuses there is refused at once, a recipient alone if it was rcpt."})
	for _, p := range []string{w, m} {
		keys = append(keys,
			Key{Path: p + "plaintext", Default: "false", Live: true, Doc: "Allow an `http:` URL of another host: mail and credentials go there in clear text."},
			Key{Path: p + "ca_file", Is: "path", Live: true, Doc: "PEM file with the certificates that an `https:` server is verified with. Default: the system's."},
			Key{Path: p + "auth", Default: AuthNone, Enum: []string{AuthNone, AuthBearer, AuthBasic}, Live: true, Doc: "How mtad tells who it is: a bearer token, or user and password."},
			Key{Path: p + "auth_file", Is: "path", Live: true, Doc: "File with the token, or with `user:password`."},
		)
	}
	return keys
}

// hook checks a filter of one of these kinds.
func (k *checker) hook(key string, f Filter) {
	h, ok := f.Hook()
	if !ok {
		return
	}
	key += "." + f.Kind
	u, err := url.Parse(h.URL)
	if h.URL == "" || err != nil {
		k.add(strings.TrimSuffix(key, "."+f.Kind), "a filter of kind "+f.Kind+" wants a URL", f.Kind+": {url: \"http://127.0.0.1:8080/\"}")
		return
	}
	if u.Scheme == "http" && !h.Plaintext && f.Address == "" && !thisHost(u.Hostname()) {
		k.add(key+".url", "mail would go to another host in clear text", "https:, or plaintext: true")
	}
	if u.Scheme == "http" && h.CAFile != "" {
		k.add(key+".ca_file", "certificates for a URL without TLS", "https:")
	}
	if (h.Auth != AuthNone) != (h.AuthFile != "") {
		k.add(key+".auth", "auth and auth_file go together", "")
	}
}

func thisHost(name string) bool {
	if a, err := netip.ParseAddr(name); err == nil {
		return a.IsLoopback()
	}
	return name == "localhost"
}

// checkURL is an absolute http or https URL without user and fragment.
func checkURL(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || len(s) > 2000 || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return "", hinted{"%q is not a URL that can be posted to", "write https://host:port/path; user and password go into auth_file", s}
	}
	return s, nil
}

// checkPointer is a JSON Pointer to what a scanner may change.
func checkPointer(s string) (string, error) {
	for _, root := range [...]string{"/action", "/response", "/envelope", "/message", "/rawMessage"} {
		if s == root || strings.HasPrefix(s, root+"/") {
			return s, nil
		}
	}
	return "", hinted{"%q is nothing that a scanner may change", fmt.Sprintf("a JSON Pointer such as %q", "/message/headers"), s}
}
