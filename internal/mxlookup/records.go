package mxlookup

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// Bounds of TXT records, in octets.
const (
	maxText = 16 << 10 // of one answer; more is an error
	maxKept = 4 << 10  // of one answer that goes into the cache
)

// The methods below have the signatures of net.Resolver, for those who check
// what senders publish. Their errors are *net.DNSError: IsNotFound where the DNS
// proves that there is nothing, also for a name that cannot be one; IsTemporary
// for everything else. Options.Family does not count here: both families are
// asked for.

// LookupTXT returns the TXT records of a name, each with its strings joined
// (RFC 7208 §3.3).
func (r *Resolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	a, err := r.record(ctx, name, dns.TypeTXT)
	if err == nil && len(a.texts) == 0 {
		err = notFound(name)
	}
	return a.texts, err
}

// LookupMX returns the usable MX records of a name, best first. A null MX is none.
func (r *Resolver) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	a, err := r.record(ctx, name, dns.TypeMX)
	if err != nil {
		return nil, err
	}
	var list []*net.MX
	for _, x := range a.mx {
		list = append(list, &net.MX{Host: x.host + ".", Pref: x.pref})
	}
	if list == nil {
		return nil, notFound(name)
	}
	return list, nil
}

// LookupIPAddr returns the addresses of a name, of both families.
func (r *Resolver) LookupIPAddr(ctx context.Context, name string) ([]net.IPAddr, error) {
	v4, err4 := r.record(ctx, name, dns.TypeA)
	v6, err6 := r.record(ctx, name, dns.TypeAAAA)
	var list []net.IPAddr
	for _, a := range append(append([]netip.Addr{}, v4.addrs...), v6.addrs...) {
		list = append(list, net.IPAddr{IP: a.AsSlice()})
	}
	// Half an answer does not prove that an address is missing.
	for _, err := range [...]error{err4, err6} {
		var e *net.DNSError
		if errors.As(err, &e) && !e.IsNotFound {
			return nil, e
		}
	}
	if list == nil {
		return nil, notFound(name)
	}
	return list, nil
}

// LookupAddr returns the names that the PTR records of an address give, which
// prove nothing.
func (r *Resolver) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	reverse, err := dns.ReverseAddr(addr)
	if err != nil {
		return nil, notFound(addr)
	}
	a, err := r.record(ctx, reverse, dns.TypePTR)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, n := range a.names {
		list = append(list, n+".")
	}
	if list == nil {
		return nil, notFound(addr)
	}
	return list, nil
}

// record asks for a name that came from outside.
func (r *Resolver) record(ctx context.Context, name string, qtype uint16) (answer, error) {
	clean, ok := ownerName(name)
	if !ok {
		return answer{}, notFound(name)
	}
	a, err := r.query(ctx, clean, qtype)
	switch {
	case err != nil:
		return answer{}, &net.DNSError{Err: "no answer", Name: name, IsTemporary: true, IsTimeout: ctx.Err() != nil}
	case !a.exists:
		return answer{}, notFound(name)
	case a.tooLong:
		return answer{}, &net.DNSError{Err: "answer too long", Name: name}
	}
	return a, nil
}

func notFound(name string) error {
	return &net.DNSError{Err: "no such record", Name: name, IsNotFound: true}
}

// ownerName is name in the form in which it is asked for; false says that it
// cannot own a record. Underscores are letters here (RFC 8552).
func ownerName(name string) (string, bool) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == "" || len(name) > 253 {
		return "", false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return "", false
		}
		for i := range len(label) {
			if c := label[i]; c != '-' && c != '_' && c != '/' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
				return "", false
			}
		}
	}
	return name, true
}

// takeText keeps a TXT record, while there is room for it.
func (r *reading) takeText(rr *dns.TXT) {
	var b strings.Builder
	for _, s := range rr.Txt {
		unescape(&b, s)
	}
	if r.octets += b.Len(); r.octets > maxText {
		r.texts, r.tooLong = nil, true
		return
	}
	r.texts = append(r.texts, b.String())
}

// unescape takes off the escapes with which package dns shows the octets of a
// character-string (RFC 1035 §5.1).
func unescape(b *strings.Builder, s string) {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if i+2 < len(s) && digit(s[i]) && digit(s[i+1]) && digit(s[i+2]) {
			b.WriteByte((s[i]-'0')*100 + (s[i+1]-'0')*10 + (s[i+2] - '0'))
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
}

func digit(c byte) bool { return '0' <= c && c <= '9' }
