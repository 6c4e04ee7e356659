package config

import (
	"slices"
	"strings"
	"time"
)

// EventTarget is a receiver of events.
type EventTarget struct {
	URL            string        `yaml:"url"`
	SecretFile     string        `yaml:"secret_file"`
	CAFile         string        `yaml:"ca_file"`
	Events         []string      `yaml:"events"`
	AllowPrivate   bool          `yaml:"allow_private"`
	AllowPlaintext bool          `yaml:"allow_plaintext"`
	Timeout        time.Duration `yaml:"timeout"`
	Concurrency    int           `yaml:"concurrency"`
	Lifetime       time.Duration `yaml:"lifetime"`
	MaxBackoff     time.Duration `yaml:"max_backoff"`
}

// eventWords are the types of events that a receiver chooses from.
func eventWords() []string {
	return []string{"accepted", "filtered", "delivered", "deferred", "bounced", "held", "released", "rejected", "discarded", "deleted"}
}

func webhookKeys() []Key {
	const p = "webhooks.*."
	return []Key{
		{Path: p + "url", Required: true, Is: "url", Live: true, Doc: "Where events are posted to. What follows the host is not shown by the API, nor logged."},
		{Path: p + "secret_file", Required: true, Is: "path", Live: true, Doc: "File with the secret that events are signed with: a line of `whsec_` and 24 to 64 octets in base64, or two of them while one takes the other's place. It is read at start and at each reload; others must not be able to."},
		{Path: p + "ca_file", Is: "path", Live: true, Doc: "File with the certificates (PEM) that the server is verified with. Default: the system's."},
		{Path: p + "events", Is: "event", Live: true, Doc: "The types that are sent: `" + strings.Join(eventWords(), "`, `") + "`. Default: all of them."},
		{Path: p + "allow_private", Default: "false", Live: true, Doc: "Connect to addresses that are not public, too: loopback, private and link-local networks, metadata services of clouds."},
		{Path: p + "allow_plaintext", Default: "false", Live: true, Doc: "Allow an http URL: everybody on the way can read the events, though not forge them."},
		{Path: p + "timeout", Default: "15s", Min: "1s", Max: "2m", Live: true, Doc: "How long an attempt may take, connection and answer included."},
		{Path: p + "concurrency", Default: "4", Min: "1", Max: "64", Live: true, Doc: "Events on their way at a time. Those of one message go one after the other."},
		{Path: p + "lifetime", Default: "24h", Min: "1m", Max: "7d", Live: true, Doc: "Age from which on an event is given up when it fails once more. The queue keeps events for 24 hours: a receiver that is further behind gets an event of type gap."},
		{Path: p + "max_backoff", Default: "5m", Min: "1s", Max: "6h", Live: true, Doc: "The longest time between two attempts; the first is a second, then it doubles."},
	}
}

// webhooks checks the receivers of events.
func (k *checker) webhooks() {
	for name, t := range k.Webhooks {
		if strings.HasPrefix(t.URL, "http:") && !t.AllowPlaintext {
			k.add("webhooks."+name+".url", "the URL is not https", "if it is really meant, say allow_plaintext: true")
		}
	}
}

// checkEvent is a type of event.
func checkEvent(s string) (string, error) {
	if !slices.Contains(eventWords(), s) {
		return "", checkEnum(s, eventWords())
	}
	return s, nil
}
