package certs

import (
	"crypto/tls"
)

// Show says what a listener shows.
type Show struct {
	// Default goes to clients that name no host, or one that no certificate is for;
	// with an empty Default that is ACME's, or nothing.
	Default Pair
	// More are chosen by the name that the client asks for (SNI, RFC 6066 §3).
	More []Pair
	// ACME has further ones; may be nil.
	ACME *ACME
	// MinVersion as in tls.Config.
	MinVersion uint16
	// AskClient asks clients for a certificate. Any is taken, or none: what it is
	// good for is decided by who looks at it.
	AskClient bool
}

// Config makes the server side. Default and More have to be loaded.
func (s *Store) Config(w Show) *tls.Config {
	c := &tls.Config{MinVersion: w.MinVersion, GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		cert, err := s.pick(&w, h)
		// Who binds to the channel has to know what was shown (RFC 5929 §4).
		if l, ok := h.Conn.(interface{ ShowCertificate(*tls.Certificate) }); ok && err == nil {
			l.ShowCertificate(cert)
		}
		return cert, err
	}}
	if w.AskClient {
		c.ClientAuth = tls.RequestClientCert
	}
	return c
}

// pick prefers a certificate for the name and of a kind that the client can
// verify, then one for the name, then the default.
func (s *Store) pick(w *Show, h *tls.ClientHelloInfo) (*tls.Certificate, error) {
	var fits *tls.Certificate
	for _, p := range append([]Pair{w.Default}, w.More...) {
		cert := s.Get(p)
		if cert == nil || cert.Leaf == nil || h.ServerName == "" || cert.Leaf.VerifyHostname(h.ServerName) != nil {
			continue
		}
		if h.SupportsCertificate(cert) == nil {
			return cert, nil
		}
		if fits == nil {
			fits = cert
		}
	}
	if fits != nil {
		return fits, nil
	}
	if cert := w.ACME.get(h, w.Default == Pair{}); cert != nil {
		return cert, nil
	}
	if cert := s.Get(w.Default); cert != nil {
		return cert, nil
	}
	return nil, errNone
}
