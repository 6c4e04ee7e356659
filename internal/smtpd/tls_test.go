package smtpd

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"mtad/internal/intake"
)

func certificate(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func withTLS(t *testing.T) func(*Options, *intake.Options) {
	c := &tls.Config{Certificates: []tls.Certificate{certificate(t, "mx.example.org")}, ClientAuth: tls.RequestClientCert}
	return func(o *Options, _ *intake.Options) { o.TLS = c }
}

// secure does the client's part of the handshake.
func (p *peer) secure(certs ...tls.Certificate) {
	p.t.Helper()
	c := tls.Client(p.conn, &tls.Config{InsecureSkipVerify: true, Certificates: certs})
	if err := c.Handshake(); err != nil {
		p.t.Fatal(err)
	}
	p.conn, p.r = c, bufio.NewReader(c)
}

func TestSTARTTLS(t *testing.T) {
	d := openDoor(t, withTLS(t))
	p := d.dial()
	p.want("220")
	p.send("EHLO x\r\n")
	if got := p.want("250"); !strings.Contains(got, "STARTTLS\r\n") {
		t.Fatalf("STARTTLS not offered: %q", got)
	}
	p.talk("> STARTTLS\n< 220 2.0.0")
	p.secure(certificate(t, "client.example"))
	p.talk("> MAIL FROM:<>\n< 503 5.5.1") // what was said before is forgotten
	p.send("EHLO client.example\r\n")
	if got := p.want("250"); strings.Contains(got, "STARTTLS") {
		t.Errorf("STARTTLS offered again: %q", got)
	}
	p.talk("> STARTTLS\n< 503 5.5.1\n" + toUs + "> DATA\n< 354\n> x\n> .\n< 250\n> QUIT\n< 221\n< end")
	it := d.wantContent("x\r\n")
	c := it.Envelope.Client
	if c.Protocol != "ESMTPS" || c.TLSProtocol != "TLSv1.3" || !strings.HasPrefix(c.TLSCipher, "TLS_") || c.TLSKeySize < 128 ||
		c.CertSubject != "client.example" || c.CertIssuer != "client.example" || len(c.CertFinger) != 64 {
		t.Errorf("client %+v", c)
	}
	if !strings.Contains(string(it.Trace), "with ESMTPS (TLSv1.3 TLS_") {
		t.Errorf("trace %q", it.Trace)
	}
}

// CVE-2011-0411 and its kin: what is sent behind STARTTLS in the clear must not
// be taken for something said under TLS.
func TestInputBehindSTARTTLSIsNotTaken(t *testing.T) {
	for name, raw := range map[string]string{
		"a command":        "STARTTLS\r\nRSET\r\n",
		"half a command":   "STARTTLS\r\nMAIL FR",
		"a whole envelope": "STARTTLS\r\nEHLO y\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			d := openDoor(t, withTLS(t))
			p := d.ready()
			p.send(raw)
			p.want("554 5.7.0")
			p.wantEnd()
		})
	}
}

func TestSTARTTLSIsRefusedInATransaction(t *testing.T) {
	p := openDoor(t, withTLS(t)).ready()
	p.talk("> STARTTLS x\n< 501\n> MAIL FROM:<>\n< 250\n> STARTTLS\n< 503 5.5.1")
}

func TestPlainTextInPlaceOfAHandshakeEndsTheSession(t *testing.T) {
	p := openDoor(t, withTLS(t)).ready()
	p.talk("> STARTTLS\n< 220")
	p.send("MAIL FROM:<>\r\n")
	b := make([]byte, 100)
	n, _ := p.r.Read(b)
	if s := string(b[:n]); strings.HasPrefix(s, "250") || strings.HasPrefix(s, "5") {
		t.Errorf("got an SMTP reply: %q", s)
	}
}

func TestRequireTLS(t *testing.T) {
	d := openDoor(t, withTLS(t), func(o *Options, _ *intake.Options) { o.RequireTLS = true })
	p := d.ready()
	p.talk("> MAIL FROM:<>\n< 530 5.7.0\n> STARTTLS\n< 220")
	p.secure()
	p.talk("> EHLO x\n< 250\n> MAIL FROM:<>\n< 250")
}

func TestImplicitTLS(t *testing.T) {
	d := openDoor(t, withTLS(t), func(o *Options, _ *intake.Options) { o.ImplicitTLS = true })
	p := d.dial()
	p.secure()
	p.talk("< 220\n> EHLO x\n< 250\n" + toUs + "> DATA\n< 354\n> .\n< 250")
	if c := d.wantMessages(1)[0].Envelope.Client; c.Protocol != "ESMTPS" {
		t.Errorf("client %+v", c)
	}
}

func TestTLSOptionsAreChecked(t *testing.T) {
	if _, err := New(Options{Intake: openDoor(t).srv.o.Intake, ImplicitTLS: true}); err == nil {
		t.Error("ImplicitTLS without a TLS configuration was taken")
	}
}
