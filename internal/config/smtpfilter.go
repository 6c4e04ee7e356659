package config

import (
	"maps"
	"slices"
)

// KindSMTPFilter is a content filter that speaks SMTP and gives messages back
// at a listener of kind KindReinjection.
const (
	KindSMTPFilter  = "smtp"
	KindReinjection = "reinjection"
)

// ReinjectionGrowth is how much larger than limits.message_size what comes back
// may be.
const ReinjectionGrowth Size = 16 << 20

// SMTPFilter is what is particular to the filter kind smtp.
type SMTPFilter struct {
	Protocol string `yaml:"protocol"`
	Trace    bool   `yaml:"trace"`
	Growth   Size   `yaml:"growth"`
}

// The words of SMTPFilter.Protocol.
const (
	ProtocolSMTP = "smtp"
	ProtocolLMTP = "lmtp"
)

func smtpFilterKeys() []Key {
	const p = "filters.*.smtp."
	return []Key{
		{Path: p + "protocol", Default: ProtocolSMTP, Enum: []string{ProtocolSMTP, ProtocolLMTP}, Live: true, Doc: "What the content filter speaks; with `lmtp` it answers for each recipient. It gives messages back at a listener of kind `reinjection`, see [scanners](scanners.md)."},
		{Path: p + "trace", Default: "true", Live: true, Doc: "Put mtad's own Received field in front of the content. It is taken out of what comes back again."},
		{Path: p + "growth", Default: "1M", Min: "1K", Max: "16M", Live: true, Doc: "How much longer a message may have become when it comes back; more is the failure `protocol`."},
	}
}

// smtpFilter checks a filter of the kind.
func (k *checker) smtpFilter(key string, f Filter) {
	if f.Kind != KindSMTPFilter {
		return
	}
	for _, l := range k.Listeners {
		if l.Kind == KindReinjection {
			return
		}
	}
	k.add(key, "a filter of kind smtp, and no listener where messages come back", "listeners: {back: {kind: reinjection, address: \"127.0.0.1:10025\"}}")
}

// reinjections checks the listeners of the kind.
func (k *checker) reinjections() {
	for _, name := range slices.Sorted(maps.Keys(k.Listeners)) {
		l, key := k.Listeners[name], "listeners."+name
		if l.Kind != KindReinjection {
			continue
		}
		if l.Chain != "" {
			k.add(key+".chain", "what comes back from a content filter goes on in the chain it came from", "leave chain out")
		}
		if l.Unix != "" {
			k.add(key+".unix", "a reinjection listener knows its clients by address", "give address")
		}
		k.narrow(key+".xforward", l.XForward, "with it strangers may try to give messages back")
	}
}
