package msgauth

import (
	"context"
	"net/netip"
	"strings"
	"testing"
)

// A message of 10 KB with an RSA and an Ed25519 signature is checked by SPF, DKIM
// and DMARC, with records at hand.
func BenchmarkCheck(b *testing.B) {
	rsa, records := newKey(b, "rsa", "example.org", "one")
	ed, more := newKey(b, "ed25519", "example.org", "two")
	for name, list := range more {
		records[name] = list
	}
	records["example.org"] = []string{"v=spf1 ip4:192.0.2.0/24 -all"}
	records["_dmarc.example.org"] = []string{"v=DMARC1; p=reject"}
	message := plainMessage + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 128)
	for name, signers := range map[string][]Signer{"none": nil, "rsa": {rsa}, "both": {rsa, ed}} {
		header, body := cut(b, sign(b, relaxed, message, signers...))
		c := &Checker{Resolver: records}
		s := Session{Client: netip.MustParseAddr("192.0.2.1"), Helo: "mail.example.org", ReversePath: "a@example.org"}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := c.Check(context.Background(), s, header, strings.NewReader(body))
				if err != nil || r.DMARC.Result != Pass {
					b.Fatal(r, err)
				}
			}
		})
	}
}
