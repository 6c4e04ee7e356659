package msgauth

import (
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// aLabels is a domain in lower case, as A-labels, without a final dot; "" when it
// is none. One label is enough.
func aLabels(domain string) string {
	domain = strings.TrimSuffix(domain, ".")
	if !isASCII(domain) {
		var err error
		if domain, err = idna.Lookup.ToASCII(domain); err != nil {
			return ""
		}
	}
	if domain == "" || len(domain) > 253 {
		return ""
	}
	domain = strings.ToLower(domain)
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, notLDH) {
			return ""
		}
	}
	return domain
}

func notLDH(r rune) bool {
	return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z')
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// organisational is the organisational domain (RFC 7489 §3.2) by the public
// suffix list, that of domain itself where it is a public suffix.
func organisational(domain string) string {
	if org, err := publicsuffix.EffectiveTLDPlusOne(domain); err == nil {
		return org
	}
	return domain
}

// domainOf is the part behind the last "@".
func domainOf(mailbox string) string {
	return mailbox[strings.LastIndexByte(mailbox, '@')+1:]
}
