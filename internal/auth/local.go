package auth

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"
)

// The mechanisms that Local has.
const (
	Plain     = "PLAIN"
	Login     = "LOGIN"
	Scram     = "SCRAM-SHA-256"
	ScramPlus = "SCRAM-SHA-256-PLUS"
	External  = "EXTERNAL"
)

// Local is the Backend over what mtad knows itself. Its fields are not changed
// once it is in use.
type Local struct {
	File         *File         // nil: no password file
	SQL          *SQL          // nil: no database; not with File
	Certificates *Certificates // nil: no EXTERNAL
	OAuth        *OAuth        // nil: no tokens
	// Offer limits the mechanisms. nil offers all there are but two: SCRAM only while
	// every login of the file has the keys for it, and SCRAM-SHA-256-PLUS not at all.
	// A client takes the best one that is offered, and does not try another when that
	// fails; and there are clients that take PLUS and cannot bind (GNU SASL in mutt).
	Offer []string
}

var _ Backend = (*Local)(nil)

// source is where the passwords are; nil: there are none.
func (l *Local) source() source {
	if l.File != nil {
		return l.File
	}
	if l.SQL != nil {
		return l.SQL
	}
	return nil
}

// Mechanisms are those that p may use.
func (l *Local) Mechanisms(_ context.Context, p *Peer) []string {
	var names []string
	if l.Certificates != nil && l.Certificates.fits(p.TLS) {
		names = append(names, External)
	}
	if s := l.source(); s != nil {
		if l.Offer != nil || s.SCRAM() {
			if l.Offer != nil && bindable(p) {
				names = append(names, ScramPlus)
			}
			names = append(names, Scram)
		}
		names = append(names, Plain, Login)
	}
	if l.OAuth != nil {
		names = append(names, OAuthBearer, XOAuth2)
	}
	return slices.DeleteFunc(names, func(n string) bool { return l.Offer != nil && !slices.Contains(l.Offer, n) })
}

// Begin starts a mechanism.
func (l *Local) Begin(ctx context.Context, mechanism string, p *Peer) (Exchange, error) {
	offered := l.Mechanisms(ctx, p)
	if !slices.Contains(offered, mechanism) {
		return nil, ErrMechanism
	}
	if mechanism == OAuthBearer || mechanism == XOAuth2 {
		return &tokenExchange{oauth: l.OAuth, mechanism: mechanism}, nil
	}
	x := &exchange{local: l, peer: p}
	switch mechanism {
	case Plain:
		x.server = sasl.NewPlainServer(x.plain)
	case Login:
		x.server = &loginServer{authenticate: func(name, password string) error { return x.plain("", name, password) }}
	case External:
		x.server = sasl.NewExternalServer(x.external)
	default:
		s, err := x.scram(mechanism, slices.Contains(offered, ScramPlus))
		if err != nil {
			return nil, err
		}
		x.server = s
	}
	return x, nil
}

// exchange is an Exchange of Local.
type exchange struct {
	local  *Local
	peer   *Peer
	ctx    context.Context //nolint:containedctx // that of the Next under way: go-sasl has no other way
	server sasl.Server
	login  string
	judged error // what a callback said; what comes without one is a fault of syntax
}

func (x *exchange) Login() string { return x.login }

func (x *exchange) Close() {}

// Next runs a step.
func (x *exchange) Next(ctx context.Context, response []byte) ([]byte, bool, error) {
	x.ctx = ctx
	challenge, done, err := x.server.Next(response)
	switch {
	case err == nil:
		return challenge, done, nil
	case x.judged != nil:
		return nil, false, x.judged
	}
	return nil, false, fmt.Errorf("%w: %w", ErrSyntax, err)
}

func (x *exchange) judge(err error) error {
	x.judged = err
	return err
}

// plain judges a name and a password. identity is who the client wants to be:
// nobody else than itself.
func (x *exchange) plain(identity, name, password string) error {
	if !ValidLogin(name) || password == "" || strings.IndexByte(password, 0) >= 0 {
		return x.judge(ErrRefused)
	}
	e, err := x.local.source().entry(x.ctx, name)
	if err != nil {
		return x.judge(err)
	}
	if e.exists {
		x.login = e.name
	}
	if err := x.peer.attempt(x.ctx, e.name); err != nil {
		return x.judge(err)
	}
	err = e.verify(x.ctx, password)
	if err == nil && identity != "" && Fold(identity) != Fold(name) && Fold(identity) != e.name {
		err = ErrRefused
	}
	return x.judge(err)
}
