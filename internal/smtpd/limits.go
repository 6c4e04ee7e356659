package smtpd

import "time"

// Limits bound what a client can take. For each, 0 stands for the default
// named beside it and a negative value for no limit, except where noted.
type Limits struct {
	// CommandLine is a command's length in octets with CRLF: 2048 (RFC 5321
	// §4.5.3.1.4 asks for 512, extensions for more). Always limited, 512 to 65536.
	CommandLine int
	// TextLine is a line of content in octets without CRLF: 1 MiB. RFC 5321
	// §4.5.3.1.6 has 998; real mail has more, and refusing it helps nobody.
	TextLine int
	// Size is a message's content in octets: 64 MiB.
	Size int64
	// Recipients of one message: 1000 (RFC 5321 §4.5.3.1.8 asks for 100).
	Recipients int

	// Errors is how many negative replies a client may earn before it has a
	// message accepted: 20. One more and it is dropped.
	Errors int
	// UnknownCommands in a session: 10.
	UnknownCommands int
	// IdleCommands are NOOP, RSET, VRFY, HELP and the like between two messages:
	// 100. Each one more counts as an error.
	IdleCommands int
	// Messages (MAIL commands taken) in a session: 10000.
	Messages int

	// Connections at once: 40000. PerClient of one client (an IPv4 address, an
	// IPv6 /64): 50. Rate is connections of one client a minute: 600.
	Connections, PerClient, Rate int

	// Greeting is how long a client has to keep silent before it is greeted:
	// 50 ms. Negative: what is there already counts, without waiting.
	Greeting time.Duration
	// Command is how long a command line may take as a whole: 5 min (RFC 5321
	// §4.5.3.2.7). Above three quarters of Connections it is StressCommand: 10 s.
	Command, StressCommand time.Duration
	// Handshake of TLS and the PROXY header: 30 s.
	Handshake time.Duration
	// DataBlock is the longest silence within content: 3 min (§4.5.3.2.5). Data is
	// the time for all of it: 1 h. DataRate in octets/s is what a client has to
	// reach on average, from DataGrace (1 min) on: 100.
	DataBlock, Data, DataGrace time.Duration
	DataRate                   int64
	// Write is how long a reply may take to be written: 1 min. Always limited.
	Write time.Duration
	// Session is the time for a session: 4 h.
	Session time.Duration
}

// none stands for "no limit" in a filled Limits.
const none = 1 << 62

func (l *Limits) fill() {
	number(&l.CommandLine, 2048)
	l.CommandLine = min(max(l.CommandLine, 512), 65536)
	number(&l.TextLine, 1<<20)
	number(&l.Size, 64<<20)
	number(&l.Recipients, 1000)
	number(&l.Errors, 20)
	number(&l.UnknownCommands, 10)
	number(&l.IdleCommands, 100)
	number(&l.Messages, 10000)
	number(&l.Connections, 40000)
	number(&l.PerClient, 50)
	number(&l.Rate, 600)
	if l.Greeting == 0 {
		l.Greeting = 50 * time.Millisecond
	}
	duration(&l.Command, 5*time.Minute)
	duration(&l.StressCommand, 10*time.Second)
	duration(&l.Handshake, 30*time.Second)
	duration(&l.DataBlock, 3*time.Minute)
	duration(&l.Data, time.Hour)
	duration(&l.DataGrace, time.Minute)
	if l.DataRate == 0 {
		l.DataRate = 100
	}
	if l.Write <= 0 {
		l.Write = time.Minute
	}
	duration(&l.Session, 4*time.Hour)
}

func number[T int | int64](v *T, def T) {
	switch {
	case *v == 0:
		*v = def
	case *v < 0:
		*v = none
	}
}

// forever is longer than any connection lives, and can be added to a time.
const forever = 10 * 365 * 24 * time.Hour

func duration(v *time.Duration, def time.Duration) {
	switch {
	case *v == 0:
		*v = def
	case *v < 0:
		*v = forever
	}
}
