package msgauth

import (
	"context"
	"net"
	"net/netip"
	"strings"

	"blitiri.com.ar/go/spf"
)

// Result is a result of RFC 8601 §2.7.
type Result string

// The results.
const (
	None      Result = "none"
	Pass      Result = "pass"
	Fail      Result = "fail"
	SoftFail  Result = "softfail"
	Neutral   Result = "neutral"
	Policy    Result = "policy"
	TempError Result = "temperror"
	PermError Result = "permerror"
)

// Resolver asks the DNS; *net.Resolver has its form. Errors are *net.DNSError,
// with IsNotFound and IsTemporary. It is safe for concurrent use.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error)
	LookupAddr(ctx context.Context, addr string) ([]string, error)
}

// Session is what is known of the client.
type Session struct {
	// Client is its address; the zero Addr when there is none.
	Client netip.Addr
	Helo   string
	// ReversePath is the mailbox of MAIL; "" for the null reverse-path.
	ReversePath string
	// Hidden are the values of From fields that a reader may find behind the header
	// section, where that is broken: DMARC counts them as authors.
	Hidden []string
}

// SPF is what came of the check of a client (RFC 7208).
type SPF struct {
	Result Result
	// Domain was checked, as A-labels: that of MAIL, or of HELO for the null
	// reverse-path (§2.4). "" when there was none to check.
	Domain string
	// Helo: Domain is that of HELO.
	Helo bool
	// Mailbox is the reverse-path.
	Mailbox string
}

// checkSPF asks whether the client may use the reverse-path.
func checkSPF(ctx context.Context, r Resolver, s Session) SPF {
	out := SPF{Result: None, Mailbox: s.ReversePath, Helo: s.ReversePath == ""}
	helo := aLabels(s.Helo)
	local, domain := "postmaster", helo
	if !out.Helo {
		i := strings.LastIndexByte(s.ReversePath, '@')
		if domain = ""; i >= 0 {
			domain = aLabels(s.ReversePath[i+1:])
		}
		// The library cuts at the first "@".
		if i > 0 && !strings.Contains(s.ReversePath[:i], "@") {
			local = s.ReversePath[:i]
		}
	}
	out.Domain = domain
	// RFC 7208 §4.3: one label alone is no domain to check.
	if !s.Client.IsValid() || !strings.Contains(domain, ".") {
		return out
	}
	ip := net.IP(s.Client.Unmap().AsSlice())
	if helo == "" {
		helo = "unknown"
	}
	result, _ := spf.CheckHostWithSender(ip, helo, local+"@"+domain, spf.WithContext(ctx), spf.WithResolver(r))
	out.Result = Result(result)
	return out
}
