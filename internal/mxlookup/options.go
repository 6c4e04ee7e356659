package mxlookup

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Family says which addresses are used and which of them first.
type Family int

// The families.
const (
	IPv4First Family = iota
	IPv6First
	IPv4Only
	IPv6Only
)

// Bounds that hold whatever an answer says.
const (
	maxHosts   = 16 // mail exchangers used, best preference first
	maxAddrs   = 8  // addresses of one host that are tried, of one family
	maxKnown   = 64 // addresses read of one answer
	maxTargets = 40 // of one next hop
	maxCNAMEs  = 8
	maxRecords = 256 // read of one answer
)

// Options say whom to ask and what to prefer. The zero value uses resolv.conf.
type Options struct {
	// Servers are asked in order, "address:port". Empty: those of ResolvConf.
	Servers []string
	// ResolvConf is read again when it changes; "" is /etc/resolv.conf. Without
	// servers in it, 127.0.0.1:53 is asked.
	ResolvConf string
	// Timeout of one question to one server, 3 s if 0; Rounds through the
	// servers, 2 if 0.
	Timeout time.Duration
	Rounds  int

	// Family is the order of addresses.
	Family Family
	// Port where the next hop names none, 25 if 0.
	Port uint16
	// Hosts are addresses of hosts that are not asked for. "localhost" is known.
	Hosts map[string][]netip.Addr

	// Hostname is our own name: a mail exchanger of that name is us.
	Hostname string
	// Self reports whether mail sent to an address comes back to this process. Nil:
	// never.
	Self func(netip.AddrPort) bool

	// CacheSize bounds the cache, in answers; 10,000 if 0. MinTTL and MaxTTL clamp
	// how long one is kept (5 s and 1 h if 0); MaxNegativeTTL those that say no
	// (5 min if 0). Failures are kept for MinTTL.
	CacheSize      int
	MinTTL, MaxTTL time.Duration
	MaxNegativeTTL time.Duration
	Now            func() time.Time // time.Now if nil
	Shuffle        func(n int, swap func(i, j int))
	Logger         *slog.Logger
	Registry       prometheus.Registerer
}

func (o Options) withDefaults() Options {
	if o.ResolvConf == "" {
		o.ResolvConf = "/etc/resolv.conf"
	}
	setDefault(&o.Timeout, 3*time.Second)
	setDefault(&o.Rounds, 2)
	setDefault(&o.Port, 25)
	setDefault(&o.CacheSize, 10_000)
	setDefault(&o.MinTTL, 5*time.Second)
	setDefault(&o.MaxTTL, time.Hour)
	setDefault(&o.MaxNegativeTTL, 5*time.Minute)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Shuffle == nil {
		o.Shuffle = shuffle
	}
	if o.Self == nil {
		o.Self = func(netip.AddrPort) bool { return false }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
