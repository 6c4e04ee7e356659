package smtpd

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"

	"mtad/internal/intake"
)

// LineEnds is what is done with a bare CR or LF.
type LineEnds uint8

// The policies; the package comment says what they do.
const (
	Reject LineEnds = iota
	Normalize
)

// Options describe one kind of listener. Intake or Receiver is required.
type Options struct {
	// Name of the door, in the envelope, in logs and in metrics; "smtp" if empty.
	Name string
	// Hostname for greeting and replies; "localhost" if empty.
	Hostname string
	Intake   *intake.Intake
	// Receiver takes the messages in place of Intake.
	Receiver Receiver
	Chain    string // filter chain of what comes in here

	// Local and Relay say whether a recipient's domain (lower case, A-label) is
	// ours, or one that anybody may send to. nil is never.
	Local, Relay func(domain string) bool
	// Networks are the clients that may send to anywhere (mynetworks). They are
	// not bound by the limits per client, nor by GreetDelay.
	Networks []netip.Prefix
	// XClient, XForward and Proxy list who may use XCLIENT, XFORWARD and who has to
	// send a PROXY header. They hold for the address of the connection (for
	// XCLIENT and XFORWARD: as the PROXY header says).
	XClient, XForward, Proxy []netip.Prefix

	// TLS offers STARTTLS. ImplicitTLS begins with the handshake. RequireTLS
	// refuses mail before TLS with 530 5.7.0.
	TLS                     *tls.Config
	ImplicitTLS, RequireTLS bool
	// RequireAuth refuses MAIL with 530 5.7.0 before the client logged in, in
	// Networks or not.
	RequireAuth bool

	LineEnds LineEnds
	Limits   Limits
	// Room bounds the connections of all Servers that have it, beside
	// Limits.Connections; nil is no bound.
	Room *Room
	// Policy adds decisions at the stages of a session.
	Policy Policy
	// ClientName finds the verified host name of a client, "" if there is none; it
	// is asked once for each connection and has to be bounded in time. nil: every
	// client is "unknown".
	ClientName func(ctx context.Context, addr netip.Addr) string

	Logger   *slog.Logger
	Registry prometheus.Registerer
}

func (o *Options) fill() {
	if o.Name == "" {
		o.Name = "smtp"
	}
	if o.Hostname == "" {
		o.Hostname = "localhost"
	}
	if o.Receiver == nil {
		o.Receiver = direct{o.Intake}
	}
	if o.Local == nil {
		o.Local = never
	}
	if o.Relay == nil {
		o.Relay = never
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Limits.fill()
}

func never(string) bool { return false }
