package config

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "5m": 5 * time.Minute, "1h30m": 90 * time.Minute, "5d": 120 * time.Hour, "2w": 14 * 24 * time.Hour, "1m5ms": time.Minute + 5*time.Millisecond,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "5", "m", "-5m", "+5m", "1.5h", "5 m", "5m ", "5M", "5m1h", "5m5m", "5x", "99999999999999999w", "20000w"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "1": 1, "10K": 10240, "50M": 50 << 20, "1G": 1 << 30, "8388607T": 8388607 << 40} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%q: got %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "K", "-1", "1k", "1KB", "1KM", "1.5M", "8388608T", "9223372036854775808"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}

func TestMappedAddressIsInItsIPv4Network(t *testing.T) {
	n, err := parseNetwork("loopback")
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]bool{"127.1.2.3": true, "::1": true, "::ffff:127.0.0.1": true, "128.0.0.1": false, "::2": false, "fe80::1%eth0": false} {
		if got := n.Contains(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: got %v, want %v", addr, got, want)
		}
	}
}

func TestDomains(t *testing.T) {
	long := strings.Repeat("a", 63)
	for text, want := range map[string]string{"Example.ORG.": "example.org", "localhost": "localhost", "xn--bcher-kva.example": "xn--bcher-kva.example", long + ".org": long + ".org"} {
		if got, err := ParseDomain(text); err != nil || got != want {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"", ".", "a..b", "-a.org", "a-.org", "a_b.org", "bücher.example", long + "a.org", strings.Repeat("a.", 127) + "org", "a b"} {
		if got, err := ParseDomain(text); err == nil {
			t.Errorf("%q was read as %q", text, got)
		}
	}
}

func TestNextHops(t *testing.T) {
	for _, ok := range []string{"example.org", "example.org:2525", "[192.0.2.1]", "[192.0.2.1]:25", "[2001:db8::1]:25", "[mail.example.org]:587"} {
		if _, err := checkNextHop(ok); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for _, bad := range []string{"", "[", "[]", "[a b]:25", "example.org:0", "example.org:65536", "example.org:", "a:b:c", "[::1", "::1]:25", "[1.2.3.4]x:25"} {
		if _, err := checkNextHop(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
