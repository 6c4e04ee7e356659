package msgauth

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-msgauth/dkim"
)

// MaxSignatures is how many signatures of a message are verified, from the top:
// the newest come first.
const MaxSignatures = 8

// maxKey bounds a key record, in octets: RSA keys of 16384 bits fit.
const maxKey = 4 << 10

// Signature is what came of one DKIM signature.
type Signature struct {
	Result Result
	Reason string // why it did not pass, in a few words; no octet of it is the sender's
	// Domain and Selector name the key (d=, s=), Identity is i=, Algorithm a=, and
	// Start the first octets of b=. They are what the signature says, cleaned;
	// "" where it does not.
	Domain, Selector, Identity, Algorithm, Start string
}

// verify checks the signatures of a message. more counts those beyond
// MaxSignatures. The body is read to its end only if there is a signature.
func verify(ctx context.Context, r Resolver, header []byte, fields []field, body io.Reader) (list []Signature, more int, err error) {
	found := values(fields, "DKIM-Signature")
	if len(found) > MaxSignatures {
		found, more = found[:MaxSignatures], len(found)-MaxSignatures
	}
	acceptable := Signable(header)
	for _, value := range found {
		tags := tagsOf(value)
		list = append(list, signatureOf(tags))
		acceptable = acceptable && strings.Count(tags["h"], ":") < maxNames
	}
	if len(list) == 0 {
		return nil, 0, nil
	}
	if !acceptable {
		return refuse(list, "the header section is too complex"), more, nil
	}
	keys := &keys{ctx: ctx, r: r, records: map[string]string{}}
	g := &guard{r: body}
	checked, err := dkim.VerifyWithOptions(message(header, g), &dkim.VerifyOptions{LookupTXT: keys.lookup, MaxVerifications: MaxSignatures})
	switch {
	case errors.Is(g.err, ErrUnsignable):
		return refuse(list, "the body is a long run of empty lines"), more, nil
	case g.err != nil:
		return nil, 0, g.err
	case err != nil && !errors.Is(err, dkim.ErrTooManySignatures):
		return nil, 0, err
	}
	for i := range min(len(list), len(checked)) {
		list[i].judge(checked[i], keys)
	}
	return list, more, nil
}

func refuse(list []Signature, reason string) []Signature {
	for i := range list {
		list[i].Result, list[i].Reason = Policy, reason
	}
	return list
}

// judge turns the library's answer into a result.
func (s *Signature) judge(v *dkim.Verification, k *keys) {
	err := v.Err
	switch {
	case err == nil && k.strict(s.Selector, s.Domain) && !strings.EqualFold(domainOf(v.Identifier), v.Domain):
		s.Result, s.Reason = PermError, "the key is not for subdomains" // RFC 6376 §3.6.1, t=s
	case err == nil:
		s.Result = Pass
	case dkim.IsTempFail(err):
		s.Result, s.Reason = TempError, "the key cannot be looked up now"
	case !v.Expiration.IsZero() && time.Now().After(v.Expiration):
		s.Result, s.Reason = Fail, "the signature has expired"
	case dkim.IsPermFail(err):
		s.Result, s.Reason = PermError, reasonOf(err)
	case strings.Contains(err.Error(), "body length"):
		s.Result, s.Reason = Policy, "part of the body is not signed" // l=, RFC 6376 §8.2
	default:
		s.Result, s.Reason = Fail, reasonOf(err)
	}
}

// reasons are words of the library's errors with what is said instead.
var reasons = [...][2]string{
	{"body hash", "the body was changed"},
	{"did not verify", "the signature does not fit"},
	{"no key", "there is no key"},
	{"no valid key", "there is no key"},
	{"multiple TXT", "there is more than one key"},
	{"revoked", "the key is revoked"},
	{"too short", "the key is too short"},
	{"key syntax", "the key cannot be read"},
	{"key record", "the key cannot be read"},
	{"too weak", "the hash is too weak"},
	{"domain mismatch", "the identity is of another domain"},
	{"From field", "the From field is not signed"},
	{"inappropriate", "the key is for something else"},
}

func reasonOf(err error) string {
	for _, r := range reasons {
		if strings.Contains(err.Error(), r[0]) {
			return r[1]
		}
	}
	return "the signature cannot be read"
}

// keys looks up key records, and remembers them.
type keys struct {
	ctx context.Context
	r   Resolver

	mu      sync.Mutex
	records map[string]string
}

func (k *keys) lookup(name string) ([]string, error) {
	list, err := k.r.LookupTXT(k.ctx, name)
	if err != nil {
		return nil, err
	}
	for _, txt := range list {
		if len(txt) > maxKey {
			return nil, &net.DNSError{Err: "record too long", Name: name}
		}
	}
	if len(list) == 1 {
		k.mu.Lock()
		k.records[strings.ToLower(name)] = list[0]
		k.mu.Unlock()
	}
	return list, nil
}

// strict reports whether a key has the flag t=s.
func (k *keys) strict(selector, domain string) bool {
	k.mu.Lock()
	record := k.records[strings.ToLower(selector+"._domainkey."+domain)]
	k.mu.Unlock()
	for flag := range strings.SplitSeq(tagsOf(record)["t"], ":") {
		if strings.TrimSpace(flag) == "s" {
			return true
		}
	}
	return false
}

// tagsOf reads a tag list (RFC 6376 §3.2) as far as it is one; white space in
// values is left out.
func tagsOf(list string) map[string]string {
	tags := map[string]string{}
	for spec := range strings.SplitSeq(list, ";") {
		name, value, ok := strings.Cut(spec, "=")
		if name = strings.TrimSpace(name); ok && tags[name] == "" {
			tags[name] = strings.Join(strings.Fields(value), "")
		}
	}
	return tags
}

func signatureOf(tags map[string]string) Signature {
	start := tags["b"]
	return Signature{
		Domain: aLabels(tags["d"]), Selector: aLabels(tags["s"]), Identity: tags["i"],
		Algorithm: strings.ToLower(tags["a"]), Start: start[:min(len(start), 8)],
	}
}
