package signfilter

import (
	"strings"
	"testing"

	"mtad/internal/filter/scannertest"
)

// A message of 10 KB is signed with an RSA key of 2048 bits, an Ed25519 key, or
// both.
func BenchmarkSign(b *testing.B) {
	message := scannertest.Ham() + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 128)
	for name, keys := range map[string][]string{
		"rsa": {"rsa example.org"}, "ed25519": {"ed example.org"}, "both": {"rsa example.org", "ed example.org"},
	} {
		f, _ := newFilter(b, yes, keys...)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(message)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.sign(strings.NewReader(message)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
