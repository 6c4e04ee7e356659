package config

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"mtad/internal/dkimkey"
)

// The kinds that check who a message is from, and that sign messages.
const (
	KindDMARC = "dmarc"
	KindDKIM  = "dkim"
)

// DMARC is what is particular to the filter kind dmarc.
type DMARC struct {
	ID           string        `yaml:"id"` // "": the host name
	Forged       []string      `yaml:"forged"`
	Trusted      Networks      `yaml:"trusted"`
	OnReject     string        `yaml:"on_reject"`
	OnQuarantine string        `yaml:"on_quarantine"`
	OnTempError  string        `yaml:"on_temperror"`
	LookupTime   time.Duration `yaml:"lookup_time"`
}

// The words of DMARC.
const (
	DMARCRecord     = "record"
	DMARCQuarantine = "quarantine"
	DMARCReject     = "reject"
	DMARCDefer      = "defer"
)

// DKIM is what is particular to the filter kind dkim.
type DKIM struct {
	Keys             []DKIMKey     `yaml:"keys"`
	Networks         Networks      `yaml:"networks"`
	Headers          []string      `yaml:"headers"`
	Oversign         []string      `yaml:"oversign"`
	Canonicalization string        `yaml:"canonicalization"`
	Expire           time.Duration `yaml:"expire"`
}

// DKIMKey is a line of the signing table.
type DKIMKey struct {
	Domain   string   `yaml:"domain"`
	Selector string   `yaml:"selector"`
	File     string   `yaml:"file"`
	From     []string `yaml:"from"`
}

// signedHeaders are the default of DKIM.Headers: those of RFC 6376 §5.4.1 that
// relays leave alone.
const signedHeaders = "From, Sender, Reply-To, Subject, Date, Message-ID, To, Cc, MIME-Version, Content-Type, Content-Transfer-Encoding, " +
	"In-Reply-To, References, List-Id, List-Unsubscribe, List-Unsubscribe-Post"

// dmarcConcurrency is the default of filters.*.concurrency for the kind dmarc,
// which mostly waits for the DNS.
const dmarcConcurrency = 100

func senderKeys() []Key {
	const a, d = "filters.*.dmarc.", "filters.*.dkim."
	policies := []string{DMARCRecord, DMARCQuarantine, DMARCReject}
	canonical := []string{"relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple"}
	return []Key{
		{Path: a + "id", Is: "domain", Live: true, Doc: "The name under which results are given (authserv-id). Fields of this name that come with a message are removed. Default: `hostname`."},
		{Path: a + "forged", Is: "domain", Live: true, Doc: "Further names that fields from outside must not have: those of other hosts here."},
		{Path: a + "trusted", Live: true, Doc: "Relays here that check messages themselves: nothing of theirs is checked or removed. Clients in `mynetworks`, those that have logged in and local ones are not checked in any case."},
		{Path: a + "on_reject", Default: DMARCRecord, Enum: policies, Live: true, Doc: "What becomes of a message that fails DMARC where the domain asks for `reject`: the result is recorded only; it is held; or refused with 550 5.7.1. With the timing `after`, a refusal is a report to a reverse-path that may be forged, too: `inline` is better."},
		{Path: a + "on_quarantine", Default: DMARCRecord, Enum: policies, Live: true, Doc: "The same, where the domain asks for `quarantine`."},
		{Path: a + "on_temperror", Default: DMARCRecord, Enum: []string{DMARCRecord, DMARCDefer}, Live: true, Doc: "What becomes of a message while the DNS leaves the result of SPF or DMARC open: it is recorded as `temperror`; or deferred with 451 4.4.3."},
		{Path: a + "lookup_time", Default: "20s", Min: "1s", Max: "10m", Live: true, Doc: "How long the checks of a message may take in all; what the DNS has not said by then is a `temperror`. It has to be less than `filters.*.timeout`."},
		{Path: d + "keys[].domain", Required: true, Is: "domain", Live: true, Doc: "The domain that signs (`d=`)."},
		{Path: d + "keys[].selector", Required: true, Is: "selector", Live: true, Doc: "The name of the key in the DNS (`s=`): SELECTOR._domainkey.DOMAIN."},
		{Path: d + "keys[].file", Required: true, Is: "path", Live: true, Doc: "PEM file with the private key: RSA of 2048 bits or more, or Ed25519, as `mtactl dkim keygen` makes it. Others must not be able to read it. It is read again with the configuration."},
		{Path: d + "keys[].from", Is: "author", Live: true, Doc: "Domains of the From field that the key signs for: `example.org`, `.example.org` for all below it, or `*`. Each key that matches makes a signature. Default: `domain`."},
		{Path: d + "networks", Live: true, Doc: "Clients whose messages are signed, too. Signed are those of clients in `mynetworks`, of those that have logged in, of `submission` listeners and of local programs; never a stranger's, whatever its From field says."},
		{Path: d + "headers", Default: signedHeaders, Is: "fieldname", Live: true, Doc: "Header fields that are signed where they are there. From is in any case."},
		{Path: d + "oversign", Default: "From, To, Cc, Subject, Date, Message-ID, Reply-To", Is: "fieldname", Live: true, Doc: "Header fields that are signed so that none can be added later."},
		{Path: d + "canonicalization", Default: "relaxed/relaxed", Enum: canonical, Live: true, Doc: "Which changes of header section and body a signature survives: `relaxed` allows for white space, `simple` for nothing."},
		{Path: d + "expire", Default: "0", Min: "0", Max: "365d", Live: true, Doc: "How long a signature is good for. 0: it does not say."},
	}
}

// deriveFilters fills in defaults that depend on the kind.
func (c *Config) deriveFilters() {
	for name, f := range c.Filters {
		if _, given := c.positions["filters."+name+".concurrency"]; f.Kind == KindDMARC && !given {
			f.Concurrency = dmarcConcurrency
			c.Filters[name] = f
		}
	}
}

// senders checks a filter of the kinds.
func (k *checker) senders(key string, f Filter) {
	if f.Kind != KindDMARC && f.Kind != KindDKIM {
		return
	}
	if _, given := k.positions[key+".address"]; given {
		k.add(key+".address", "a filter of kind "+f.Kind+" has no address: it is part of mtad", "leave address out")
	}
	if f.Kind == KindDMARC {
		if timeout := cmp.Or(f.Timeout, time.Minute); f.DMARC.LookupTime >= timeout {
			k.add(key+".dmarc.lookup_time", "lookup_time is not less than timeout", "")
		}
		k.narrow(key+".dmarc.trusted", f.DMARC.Trusted, "with it strangers say themselves who they are")
		return
	}
	k.narrow(key+".dkim.networks", f.DKIM.Networks, "with it the messages of strangers are signed")
	if len(f.DKIM.Keys) == 0 {
		k.add(key, "a filter of kind dkim wants keys", "dkim: {keys: [{domain: example.org, selector: s1, file: /etc/mtad/dkim/s1.pem}]}")
	}
	seen := map[string]bool{}
	for i, x := range f.DKIM.Keys {
		if name := x.Selector + "._domainkey." + x.Domain; seen[name] {
			k.add(fmt.Sprintf("%s.dkim.keys[%d].selector", key, i), "a second key at "+name, "each key has a selector of its own")
		} else {
			seen[name] = true
		}
	}
	if n := len(strings.Join(append(slices.Clone(f.DKIM.Headers), f.DKIM.Oversign...), ":")); n > maxSignedNames {
		k.add(key+".dkim.headers", fmt.Sprintf("the names of headers and oversign take %d octets", n), fmt.Sprintf("at most %d: they stand in one line of the signature", maxSignedNames))
	}
}

// maxSignedNames leaves room in h= for fields that a message has more than once.
const maxSignedNames = 600

// dkimFiles reads the keys.
func (k *checker) dkimFiles(key string, d DKIM) {
	for i, x := range d.Keys {
		at := fmt.Sprintf("%s.keys[%d].file", key, i)
		fi, err := os.Stat(x.File)
		if err == nil {
			_, err = dkimkey.Read(x.File)
		}
		switch _, missing := err.(*fs.PathError); {
		case missing:
			k.add(at, "the key "+x.File+" cannot be read: "+reason(err), "mtactl dkim keygen makes one")
		case err != nil:
			k.add(at, "the key cannot be used: "+err.Error(), "a PEM file with an RSA key of 2048 bits or more, or an Ed25519 key")
		case fi.Mode().Perm()&0o007 != 0:
			k.add(at, fmt.Sprintf("others may read the key (mode %04o)", fi.Mode().Perm()), "chmod o= "+x.File)
		}
	}
}

// signsLast: a signature covers what leaves only if nothing comes after it.
func (k *checker) signsLast() {
	for _, name := range slices.Sorted(maps.Keys(k.Chains)) {
		signer := ""
		for i, f := range k.Chains[name].Filters {
			if k.Filters[f].Kind == KindDKIM {
				signer = f
			} else if signer != "" {
				k.add(fmt.Sprintf("chains.%s.filters[%d]", name, i), fmt.Sprintf("%q comes after %q, which signs: what it changed would break the signature", f, signer), "put filters of kind dkim last")
				break
			}
		}
	}
	if s := k.Delivery.ReportSigner; s != "" && k.Filters[s].Kind != KindDKIM {
		k.add("delivery.report_signer", fmt.Sprintf("no filter of kind dkim called %q", s), "reports are signed with the keys of such a filter")
	}
}

// checkSelector is one or more labels (RFC 6376 §3.1).
func checkSelector(s string) (string, error) {
	bad := hinted{"%q is not a selector", "letters, digits and hyphens, as in s2027a", s}
	if len(s) > 63 {
		return "", bad
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' || strings.ContainsFunc(label, func(r rune) bool {
			return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		}) {
			return "", bad
		}
	}
	return strings.ToLower(s), nil
}

// checkAuthor is a domain, all below one, or "*".
func checkAuthor(s string) (string, error) {
	if s == "*" {
		return s, nil
	}
	return checkPattern(s)
}

// checkSignedField is the name of a header field that can be signed.
func checkSignedField(s string) (string, error) {
	if strings.EqualFold(s, "DKIM-Signature") || strings.EqualFold(s, "none") {
		return "", hinted{"%q cannot be signed", "signatures do not cover each other", s}
	}
	if strings.ContainsAny(s, ";=") {
		return "", hinted{"%q is not a header field name", "", s}
	}
	return checkField(s)
}
