package mailscanner

import (
	"net/netip"
	"os"
	"strings"
	"time"

	"mtad/filterproto"
)

// preamble is what the bridge puts in front of a message and takes off the answer: a
// Received field in which MailScanner and its SpamAssassin find the client's address,
// and one more, so that nothing the message begins with can go on with that.
func preamble(name string, c filterproto.ClientInfo, at time.Time) []byte {
	address, err := netip.ParseAddr(c.Address)
	if err != nil { // handed in on this machine
		address = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		c.Name, c.Helo = "localhost", "localhost"
	}
	address = address.WithZone("").Unmap()
	literal := address.String()
	if address.Is6() {
		literal = "IPv6:" + literal
	}
	host, _ := os.Hostname()
	return []byte("Received: from " + word(c.Helo) + " (" + word(c.Name) + " [" + literal + "])\n" +
		"\tby " + word(host) + " (mtad) with " + word(c.Protocol) + " id " + name + ";\n" +
		"\t" + at.UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700") + "\n" +
		"X-Mtad-Exchange: " + name + "\n")
}

// word keeps what a peer said from being more than one word: the address is what
// stands in the first pair of brackets inside the first pair of parentheses.
func word(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || strings.ContainsRune(".-_:[]", r) {
			return r
		}
		return -1
	}, s[:min(len(s), 255)])
	if s == "" {
		return "unknown"
	}
	return s
}

// isPreamble reports whether a field of an answer is one of the preamble.
func isPreamble(field, name string) bool {
	return strings.HasPrefix(field, "X-Mtad-Exchange: "+name) ||
		strings.HasPrefix(field, "Received: ") && strings.Contains(field, " (mtad) with ") && strings.Contains(field, " id "+name+";")
}
