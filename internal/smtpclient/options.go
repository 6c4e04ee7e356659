package smtpclient

import (
	"context"
	"crypto/tls"
	"net"
	"time"
)

// TLSPolicy says what STARTTLS is used for.
type TLSPolicy int

// The policies.
const (
	// TLSMay encrypts when the next hop offers it, with any certificate; where the
	// handshake fails, Dial connects again and goes without (RFC 7435).
	TLSMay TLSPolicy = iota
	// TLSNone never says STARTTLS.
	TLSNone
	// TLSEncrypt sends nothing unencrypted; any certificate will do.
	TLSEncrypt
	// TLSVerify wants a valid certificate for Options.ServerName as well.
	TLSVerify
)

func (p TLSPolicy) required() bool { return p == TLSEncrypt || p == TLSVerify }

// Timeouts are those of RFC 5321 §4.5.3.2; zero is the RFC's value.
type Timeouts struct {
	Connect   time.Duration // 30 s
	Greeting  time.Duration // 5 min
	Command   time.Duration // 5 min: EHLO, STARTTLS and handshake, MAIL, RCPT, RSET
	DataInit  time.Duration // 2 min: the reply to DATA
	DataBlock time.Duration // 3 min: each write
	DataEnd   time.Duration // 10 min: the reply after the final dot
	Quit      time.Duration // 5 s
}

// Options say how a session begins.
type Options struct {
	// Hostname is what EHLO says; "localhost" if "".
	Hostname string
	// LMTP says LHLO, and expects one reply for each recipient after the data.
	LMTP bool
	TLS  TLSPolicy
	// TLSConfig is cloned for each connection; nil is a default one.
	TLSConfig *tls.Config
	// ServerName is the next hop's name, for SNI and TLSVerify.
	ServerName string
	// Strict8Bit refuses to send a message declared 8BITMIME to a next hop that
	// does not offer it. Without it, it is sent as it is (see spec/compat.md).
	Strict8Bit bool
	Timeouts   Timeouts
	// DialContext replaces the net.Dialer, if not nil.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

func (o Options) withDefaults() Options {
	if o.Hostname == "" {
		o.Hostname = "localhost"
	}
	t := &o.Timeouts
	for _, d := range []struct {
		v        *time.Duration
		standard time.Duration
	}{
		{&t.Connect, 30 * time.Second},
		{&t.Greeting, 5 * time.Minute},
		{&t.Command, 5 * time.Minute},
		{&t.DataInit, 2 * time.Minute},
		{&t.DataBlock, 3 * time.Minute},
		{&t.DataEnd, 10 * time.Minute},
		{&t.Quit, 5 * time.Second},
	} {
		if *d.v <= 0 {
			*d.v = d.standard
		}
	}
	if o.DialContext == nil {
		o.DialContext = (&net.Dialer{}).DialContext
	}
	return o
}
