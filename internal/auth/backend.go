package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"net/netip"
)

// Errors of a Backend and its exchanges. Every other error is transient.
var (
	// ErrRefused: the credentials are wrong. It does not say why.
	ErrRefused = errors.New("auth: credentials refused")
	// ErrMechanism: there is no such mechanism, for this client.
	ErrMechanism = errors.New("auth: mechanism not offered")
	// ErrSyntax: the client does not keep to its mechanism.
	ErrSyntax = errors.New("auth: bad message of the mechanism")
)

// Peer is the client that logs in.
type Peer struct {
	Listener string
	Addr     netip.Addr // invalid: unknown
	Local    netip.Addr // ours; invalid: unknown
	// TLS is the connection's state; nil without TLS. Leaf is the certificate that we
	// showed, nil when that is not known.
	TLS  *tls.ConnectionState
	Leaf *tls.Certificate
	// Attempt is told the login before its secret is looked at, and takes as long as
	// the client has to wait; nil: nobody waits. An error ends the exchange.
	Attempt func(ctx context.Context, login string) error
}

func (p *Peer) attempt(ctx context.Context, login string) error {
	if p.Attempt == nil {
		return nil
	}
	return p.Attempt(ctx, login)
}

// Backend knows who may log in. Its methods are safe for concurrent use.
type Backend interface {
	// Mechanisms are the SASL mechanisms that p may use, best first.
	Mechanisms(ctx context.Context, p *Peer) []string
	// Begin starts an exchange. The mechanism is in upper case, and need not be one
	// that was offered: then the error is ErrMechanism.
	Begin(ctx context.Context, mechanism string, p *Peer) (Exchange, error)
}

// Exchange is one run of a mechanism. It belongs to one goroutine and ends with
// Close, which may be called at any point, once.
type Exchange interface {
	// Next takes a message of the client and returns the next challenge, or, with
	// done, success; a challenge that comes with done goes to the client before the
	// success does (RFC 4954 §4). A nil response means that the client sent none
	// with the command, which is not an empty one. After an error or done there is
	// no further call.
	Next(ctx context.Context, response []byte) (challenge []byte, done bool, err error)
	// Login is who the client turned out to be; good after done. Before, and after an
	// error, it is who the client claims to be if such a login exists, and otherwise
	// "".
	Login() string
	Close()
}
