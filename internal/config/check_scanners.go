package config

import (
	"net"
	"strconv"
	"strings"
)

// filter checks what a filter's kind wants and what it has no use for.
func (k *checker) filter(key string, f Filter) {
	_, addressed := k.positions[key+".address"]
	switch {
	case f.Kind == KindPull && addressed:
		k.add(key+".address", "a filter of kind pull has no address: its scanners come to mtad", "name the kind, one of "+strings.Join(filterKinds()[1:], ", "))
	case wantsAddress(f.Kind) && !addressed:
		k.add(key, "a filter of kind "+f.Kind+" wants an address", "address: unix:/path or host:port")
	}
	for _, kind := range filterKinds() {
		if _, given := k.positions[key+"."+kind]; given && kind != f.Kind {
			k.add(key+"."+kind, "settings of kind "+kind+" for a filter of kind "+f.Kind, "kind: "+kind)
		}
	}
	k.exec(key, f)
	k.smtpFilter(key, f)
	k.hook(key, f)
	k.senders(key, f)
	if f.Clamd.Transfer == TransferDescriptor && !strings.HasPrefix(f.Address, "unix:") {
		k.add(key+".clamd.transfer", "a descriptor can be passed over a unix socket only", "address: unix:/path")
	}
}

// wantsAddress reports whether the kind has settings of its own here and talks
// to a socket.
func wantsAddress(kind string) bool {
	return kind == KindClamd || kind == KindSpamd || kind == KindRspamd || kind == KindMilter || kind == KindSMTPFilter
}

// checkPeer is "unix:/path" or "host:port"; "inet:host:port" is the same.
func checkPeer(s string) (string, error) {
	bad := hinted{"%q is not where a scanner can listen", "write unix:/path or host:port", s}
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if !strings.HasPrefix(path, "/") || len(path) > maxSocketPath {
			return "", bad
		}
		return s, nil
	}
	s = strings.TrimPrefix(s, "inet:")
	host, port, err := net.SplitHostPort(s)
	if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || n == 0 {
		return "", bad
	}
	if net.ParseIP(host) == nil {
		if _, err := ParseDomain(host); err != nil {
			return "", bad
		}
	}
	return s, nil
}

// maxSocketPath is what sockaddr_un has room for, in octets.
const maxSocketPath = 107

// checkField is a header field name (RFC 5322 §3.6.8), or "none".
func checkField(s string) (string, error) {
	if s == "" || len(s) > 76 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) {
		return "", hinted{"%q is not a header field name", "write it without the colon, or none", s}
	}
	if s == "none" {
		return "", nil
	}
	return s, nil
}
