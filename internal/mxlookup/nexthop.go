package mxlookup

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// hop is a next hop, read.
type hop struct {
	raw    string
	host   string // lower case, no brackets
	addr   netip.Addr
	port   uint16 // 0: the default
	direct bool   // no MX
}

var errNextHop = errors.New("not a next hop")

// parseHop reads "domain", "domain:port", "[host]", "[host]:port", where a host
// is a name or an address (RFC 5321 §4.1.3, with or without the tag "IPv6:").
func parseHop(s string) (hop, error) {
	h := hop{raw: s}
	host, port := s, ""
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return h, errNextHop
		}
		host, port, h.direct = s[1:end], s[end+1:], true
	} else if i := strings.LastIndexByte(s, ':'); i >= 0 {
		host, port = s[:i], s[i:]
	}
	if err := h.setPort(port); err != nil {
		return h, err
	}
	return h, h.setHost(host)
}

func (h *hop) setPort(p string) error {
	if p == "" {
		return nil
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(p, ":"), 10, 16)
	if err != nil || n == 0 || p[0] != ':' || p[1] == '+' {
		return errNextHop
	}
	h.port = uint16(n)
	return nil
}

func (h *hop) setHost(host string) error {
	if len(host) > 5 && strings.EqualFold(host[:5], "ipv6:") {
		host = host[5:]
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Zone() != "" && !a.IsLinkLocalUnicast() {
			return errNextHop
		}
		h.addr, h.host, h.direct = a.Unmap(), a.Unmap().String(), true
		return nil
	}
	name, ok := hostName(host)
	if !ok {
		return errNextHop
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return errNextHop // an address with a final dot is neither
	}
	h.host = name
	return nil
}

// hostName returns name in lower case without a final dot. Names that are not
// made of letters, digits, hyphens and underscores are refused: they cannot be
// written in SMTP.
func hostName(name string) (string, bool) {
	name = strings.TrimSuffix(name, ".")
	if len(name) == 0 || len(name) > 253 {
		return "", false
	}
	for label := range strings.SplitSeq(name, ".") {
		if len(label) == 0 || len(label) > 63 || strings.ContainsFunc(label, notInLabel) {
			return "", false
		}
	}
	return strings.ToLower(name), true
}

func notInLabel(r rune) bool {
	return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}
