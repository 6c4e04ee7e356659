package smtpd

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"net"
	"strings"
	"time"
)

// starttls begins TLS (RFC 3207). Octets that came with the command, before the
// handshake, could only have been put there by somebody in the middle
// (CVE-2011-0411): the session ends.
func (s *session) starttls(arg string) {
	switch {
	case s.conv.TLS:
		s.say(&haveTLS)
		return
	case s.o.TLS == nil:
		s.say(&noImpl)
		return
	case arg != "":
		s.say(&noArg)
		return
	case s.tx.active:
		s.say(&notNow)
		return
	case s.buffered() > 0:
		s.drop(&tlsInject, "starttls_injection")
		return
	}
	s.say(&goTLS)
	if err := s.flush(); err != nil {
		s.broken(err)
		s.closing = true
		return
	}
	s.forget()
	if s.handshake() {
		s.shrink()
	}
}

// handshake wraps the connection. On failure the session is over without a
// word: there is nothing that both sides could read.
func (s *session) handshake() bool {
	s.r, s.w = 0, 0
	c := tls.Server(shown{s.raw, &s.conv}, s.o.TLS)
	if err := s.raw.SetDeadline(time.Now().Add(s.o.Limits.Handshake)); err != nil {
		s.end("lost")
		return false
	}
	err := c.HandshakeContext(s.ctx)
	s.readBy, s.writeBy = time.Time{}, time.Time{}
	if err != nil {
		s.log.Info("TLS handshake", "listener", s.o.Name, "client_address", s.conv.Client.Address, "error", err)
		s.end("tls_handshake")
		return false
	}
	s.conn, s.conv.Secure = c, c
	s.setTLS(c.ConnectionState())
	return true
}

// shown is the connection under TLS. It is told which certificate is shown: the
// standard library gives it to Config.GetCertificate as ClientHelloInfo.Conn, and
// does not remember the answer.
type shown struct {
	net.Conn
	conv *Conversation
}

// ShowCertificate notes the certificate of the handshake.
func (s shown) ShowCertificate(c *tls.Certificate) { s.conv.Leaf = c }

func (s *session) setTLS(st tls.ConnectionState) {
	c := &s.conv.Client
	s.conv.TLS = true
	c.TLSProtocol = strings.Replace(tls.VersionName(st.Version), "TLS 1", "TLSv1", 1)
	c.TLSCipher = tls.CipherSuiteName(st.CipherSuite)
	c.TLSKeySize = keySize(c.TLSCipher)
	if len(st.PeerCertificates) > 0 {
		s.setCert(st.PeerCertificates[0])
	}
}

func (s *session) setCert(cert *x509.Certificate) {
	c := &s.conv.Client
	sum := sha256.Sum256(cert.Raw)
	c.CertSubject, c.CertIssuer = cert.Subject.CommonName, cert.Issuer.CommonName
	c.CertFinger = hex.EncodeToString(sum[:])
}

func keySize(cipher string) int {
	switch {
	case strings.Contains(cipher, "AES_128"):
		return 128
	case strings.Contains(cipher, "3DES"):
		return 168
	}
	return 256
}
