package smtpclient

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"testing"
	"time"
)

// authority makes a certificate for hop.test and a pool that trusts it.
func authority(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "hop.test"}, DNSNames: []string{"hop.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// startTLS answers STARTTLS and goes on encrypted.
func (p *peer) startTLS(cert tls.Certificate) bool {
	p.hear("STARTTLS")
	p.say("220 go")
	tc := tls.Server(p.conn, &tls.Config{Certificates: []tls.Certificate{cert}})
	if err := tc.Handshake(); err != nil {
		return false
	}
	p.conn, p.r = tc, bufio.NewReader(tc)
	return true
}

func (p *peer) afterTLS(ext ...string) {
	p.hear("EHLO client.test")
	p.say("250-hop.test")
	for _, e := range ext {
		p.say("250-" + e)
	}
	p.say("250 HELP")
}

func policy(t TLSPolicy, pool *x509.CertPool) Options {
	o := clientOptions()
	o.TLS, o.ServerName = t, "hop.test"
	o.TLSConfig = &tls.Config{RootCAs: pool}
	return o
}

func TestTLSIsUsedWhereOffered(t *testing.T) {
	cert, pool := authority(t)
	for _, p := range []TLSPolicy{TLSMay, TLSEncrypt, TLSVerify} {
		addr := script(t, func(p *peer) {
			p.hello("STARTTLS", "SIZE 5", "DSN")
			if p.startTLS(cert) {
				p.afterTLS("PIPELINING", "REQUIRETLS")
			}
		})
		c := connect(t, addr, policy(p, pool))
		x := c.Extensions()
		if c.TLS() == nil || !x.Pipelining || x.DSN || x.Size {
			t.Errorf("policy %v: TLS %v, %+v", p, c.TLS() != nil, x)
		}
		tx := message(mail, "a@x.test")
		tx.RequireTLS = true
		if _, refused := c.Refuses(tx); refused != (p != TLSVerify) {
			t.Errorf("policy %v: REQUIRETLS refused: %v", p, refused)
		}
	}
}

func TestPolicyNoneDoesNotAskForTLS(t *testing.T) {
	addr := script(t, func(p *peer) { p.hello("STARTTLS"); p.hear("QUIT") })
	c := connect(t, addr, policy(TLSNone, nil))
	if c.TLS() != nil {
		t.Error("TLS")
	}
	_ = c.Quit()
}

// Each lie about STARTTLS: with TLSMay mail goes unencrypted over a second
// connection (or the same, where it was refused in words), otherwise not at all.
func TestBrokenTLS(t *testing.T) {
	cert, _ := authority(t)
	for name, c := range map[string]struct {
		lie  func(p *peer)
		want error
		same bool
	}{
		"refused": {func(p *peer) { p.hear("STARTTLS"); p.say("454 4.7.0 not now") }, nil, true},
		"closed":  {func(p *peer) { p.hear("STARTTLS"); p.say("220 go") }, nil, false},
		"plain":   {func(p *peer) { p.hear("STARTTLS"); p.say("220 go"); _, _ = p.r.ReadByte(); p.say("250 what") }, nil, false},
		"garbage": {func(p *peer) { p.hear("STARTTLS"); p.say("hello") }, ErrProtocol, false},
		"injected": {func(p *peer) {
			p.hear("STARTTLS")
			p.raw("220 go\r\n250-evil.test\r\n250 REQUIRETLS\r\n")
			_, _ = p.r.ReadByte()
		}, ErrInjected, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := dialError(t, policy(TLSEncrypt, nil), func(p *peer) { p.hello("STARTTLS"); c.lie(p) })
			if e.Stage != StageStartTLS && e.Stage != StageHandshake || c.want != nil && !errors.Is(e, c.want) {
				t.Errorf("required: %v", e)
			}
			plain := func(p *peer) {
				if !c.same {
					p.hello("STARTTLS", "SIZE")
				}
				p.hear("QUIT")
			}
			plays := []func(p *peer){func(p *peer) { p.hello("STARTTLS"); c.lie(p) }, plain}
			if c.same {
				plays = []func(p *peer){func(p *peer) { p.hello("STARTTLS"); c.lie(p); plain(p) }}
			}
			conn := connect(t, script(t, plays...), policy(TLSMay, nil))
			if conn.TLS() != nil || conn.Extensions().RequireTLS {
				t.Errorf("opportunistic: TLS %v, %+v", conn.TLS() != nil, conn.Extensions())
			}
			_ = conn.Quit()
		})
	}
	t.Run("not offered", func(t *testing.T) {
		e := dialError(t, policy(TLSEncrypt, nil), func(p *peer) { p.hello() })
		if !errors.Is(e, ErrNoTLS) {
			t.Errorf("%v", e)
		}
	})
	t.Run("unknown authority", func(t *testing.T) {
		e := dialError(t, policy(TLSVerify, x509.NewCertPool()), func(p *peer) { p.hello("STARTTLS"); p.startTLS(cert) })
		if e.Stage != StageHandshake {
			t.Errorf("%v", e)
		}
	})
	t.Run("other name", func(t *testing.T) {
		cert, pool := authority(t)
		o := policy(TLSVerify, pool)
		o.ServerName = "other.test"
		e := dialError(t, o, func(p *peer) { p.hello("STARTTLS"); p.startTLS(cert) })
		if e.Stage != StageHandshake {
			t.Errorf("%v", e)
		}
	})
}

func TestDialEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	addr := script(t, func(p *peer) { cancel(); _, _ = p.r.ReadByte() })
	if _, err := Dial(ctx, "tcp", addr, clientOptions()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
