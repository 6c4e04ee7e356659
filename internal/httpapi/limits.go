package httpapi

import "time"

// Limits bound what a caller can cost. Zero fields take the defaults.
type Limits struct {
	// Connections in all (default 1000) and from one IP address (default 200; IPv6
	// by /64) or one user at a unix socket. One more is closed at once. Root and the
	// user of this process are counted in all only, and have a tenth for themselves.
	Connections, PerAddress int
	// HeaderTime is for the request's header section (default 10 s), BodyTime for a
	// JSON body (default 30 s), IdleTime between requests (default 2 min).
	HeaderTime, BodyTime, IdleTime time.Duration
	// StallTime: a peer that takes or sends nothing of a stream for so long is cut
	// off (default 30 s).
	StallTime time.Duration
	// MinRate is what an upload must reach on average, in octets a second, once
	// BodyTime has passed (default 1024).
	MinRate int64
	// MaxUpload bounds one upload in octets (default 128 MiB).
	MaxUpload int64
	// Failures is how many failed authentications one address may make in a burst
	// (default 20); one more is allowed every FailureTime (default 3 s).
	Failures    int
	FailureTime time.Duration
	// Streams is how many event streams there are at a time (default 100), for one
	// caller StreamsPerCaller (default 10). Each ends after StreamTime (default 1 h):
	// its client comes again, with a token that is still good. Heartbeat is how long a
	// client hears nothing (default 15 s).
	Streams, StreamsPerCaller int
	StreamTime, Heartbeat     time.Duration
	// DrainTime is how long Run lets requests end when its context has ended
	// (default 10 s).
	DrainTime time.Duration
}

// Bounds that no configuration changes.
const (
	maxHeader     = 16 << 10       // octets of a request's header section
	maxDepth      = 16             // of JSON
	maxName       = 64             // octets of a field name that an error repeats
	maxJSONInline = 1 << 20        // octets of one message's content in a JSON answer
	maxJSONBatch  = 16 << 20       // octets of content in all of a JSON answer
	maxFrames     = 8 << 20        // octets of one message's content in a framed answer
	maxHeaderRead = 1 << 20        // octets read for header=true
	maxAddresses  = 10_000         // that failed authentication and are remembered
	judgeAtOnce   = 64             // entries of one verdict batch under way
	maxCursor     = 4096           // octets
	maxJobID      = 200            // octets
	maxChainName  = 200            // octets
	maxMessage    = 1<<30 + 32<<20 // octets of a body that is handed in: the largest message and block that can be configured
	localStall    = time.Hour      // that a program of this machine may be silent within a message
	maxAges       = 32             // bounds of one shape
	maxAge        = 10 * 366 * 24 * 3600
)

const (
	defaultLease = 5 * time.Minute
	maxDelay     = 24 * time.Hour
)

func (l Limits) withDefaults() Limits {
	def(&l.Connections, 1000)
	def(&l.PerAddress, 200)
	def(&l.HeaderTime, 10*time.Second)
	def(&l.BodyTime, 30*time.Second)
	def(&l.IdleTime, 2*time.Minute)
	def(&l.StallTime, 30*time.Second)
	def(&l.MinRate, 1024)
	def(&l.MaxUpload, 128<<20)
	def(&l.Failures, 20)
	def(&l.FailureTime, 3*time.Second)
	def(&l.Streams, 100)
	def(&l.StreamsPerCaller, 10)
	def(&l.StreamTime, time.Hour)
	def(&l.Heartbeat, 15*time.Second)
	def(&l.DrainTime, 10*time.Second)
	return l
}

func def[T int | int64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}
