package auth

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"strings"

	"github.com/emersion/go-sasl"
	"github.com/xdg-go/scram"
)

// scramServer is the server side of SCRAM-SHA-256 and its PLUS form. Whether
// the proof is right is seen by the library, on keys that a login that does not
// exist has as well.
type scramServer struct {
	x        *exchange
	plus     bool // the mechanism is the PLUS form
	offered  bool // the PLUS form was offered
	server   *scram.Server
	conv     *scram.ServerConversation
	claimed  string // name in the file
	finished bool
}

var _ sasl.Server = (*scramServer)(nil)

func (x *exchange) scram(mechanism string, plusOffered bool) (*scramServer, error) {
	s := &scramServer{x: x, plus: mechanism == ScramPlus, offered: plusOffered}
	var err error
	s.server, err = scram.SHA256.NewServer(s.lookup)
	return s, err
}

// lookup is asked by the library for the keys of the name that the client gave.
func (s *scramServer) lookup(name string) (scram.StoredCredentials, error) {
	if !ValidLogin(name) {
		return scram.StoredCredentials{}, s.x.judge(ErrRefused)
	}
	e, err := s.x.local.source().entry(s.x.ctx, name)
	if err != nil {
		return scram.StoredCredentials{}, s.x.judge(err)
	}
	s.claimed = e.name
	if e.exists {
		s.x.login = e.name
	}
	return e.keys(), s.x.judge(s.x.peer.attempt(s.x.ctx, e.name))
}

// Next runs a step of RFC 5802 §5.
func (s *scramServer) Next(response []byte) ([]byte, bool, error) {
	if response == nil && s.conv == nil {
		return []byte{}, false, nil
	}
	if s.conv == nil {
		conv, err := s.converse(string(response))
		if err != nil {
			return nil, false, err
		}
		s.conv = conv
	}
	answer, err := s.conv.Step(string(response))
	switch {
	case err != nil && s.x.judged == nil && s.finished:
		return nil, false, s.x.judge(ErrRefused) // wrong proof, nonce or channel
	case err != nil:
		return nil, false, err
	case !s.conv.Done():
		s.finished = true // the next step is the last
		return []byte(answer), false, nil
	}
	if id := s.conv.AuthzID(); !s.conv.Valid() || id != "" && Fold(id) != Fold(s.conv.Username()) && Fold(id) != s.claimed {
		return nil, false, s.x.judge(ErrRefused)
	}
	s.x.login = s.claimed
	return []byte(answer), true, nil
}

// converse begins a conversation. The client's first word says what the channel
// is to be bound with: "p=tls-exporter".
func (s *scramServer) converse(first string) (*scram.ServerConversation, error) {
	if !s.offered {
		return s.server.NewConversation(), nil
	}
	flag, _, _ := strings.Cut(first, ",")
	kind, bound := strings.CutPrefix(flag, "p=")
	if bound != s.plus {
		return nil, ErrSyntax
	}
	if !s.plus {
		kind = bindings(s.x.peer)[0]
	}
	b := binding(s.x.peer, kind)
	if !b.IsSupported() {
		return nil, ErrSyntax
	}
	// It also refuses "y": a client that could bind, and was not told that we can,
	// heard somebody else's EHLO.
	return s.server.NewConversationWithChannelBinding(b), nil
}

func bindable(p *Peer) bool { return len(bindings(p)) > 0 }

// bindings are the channel bindings there are, best first.
func bindings(p *Peer) []string {
	var kinds []string
	for _, t := range []scram.ChannelBindingType{scram.ChannelBindingTLSExporter, scram.ChannelBindingTLSServerEndpoint} {
		if binding(p, string(t)).IsSupported() {
			kinds = append(kinds, string(t))
		}
	}
	return kinds
}

func binding(p *Peer, kind string) scram.ChannelBinding {
	if p.TLS == nil {
		return scram.ChannelBinding{}
	}
	switch scram.ChannelBindingType(kind) {
	case scram.ChannelBindingTLSExporter:
		// RFC 9266 §2: TLS 1.3, or a handshake whose secret is bound to it, which the
		// standard library sees to.
		if b, err := scram.NewTLSExporterBinding(p.TLS); err == nil {
			return b
		}
	case scram.ChannelBindingTLSServerEndpoint:
		if sum := endPoint(p.Leaf); sum != nil {
			return scram.ChannelBinding{Type: scram.ChannelBindingTLSServerEndpoint, Data: sum}
		}
	}
	return scram.ChannelBinding{}
}

// endPoint is the hash of our certificate with the hash function of its
// signature, and with SHA-256 in place of MD5 and SHA-1 (RFC 5929 §4.1).
func endPoint(c *tls.Certificate) []byte {
	if c == nil || len(c.Certificate) == 0 {
		return nil
	}
	leaf := c.Leaf
	if leaf == nil {
		var err error
		if leaf, err = x509.ParseCertificate(c.Certificate[0]); err != nil {
			return nil
		}
	}
	switch leaf.SignatureAlgorithm {
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		sum := sha512.Sum384(leaf.Raw)
		return sum[:]
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		sum := sha512.Sum512(leaf.Raw)
		return sum[:]
	case x509.PureEd25519, x509.UnknownSignatureAlgorithm:
		return nil // the hash is not defined
	}
	sum := sha256.Sum256(leaf.Raw)
	return sum[:]
}
