package auth

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Certificates say which client certificates stand for which login. It is not
// changed once it is in use.
type Certificates struct {
	// Roots signed the certificates whose holder is named by the certificate itself:
	// the e-mail address in its subjectAltName, or its common name. nil: none do.
	Roots *x509.CertPool
	// Logins are certificates that are known by the SHA-256 of their DER form, in
	// lower-case hexadecimal digits.
	Logins map[string]string
}

// LoadCertificates reads a PEM file of authorities and a list of fingerprints;
// either may be "".
func LoadCertificates(authorities, fingerprints string) (*Certificates, error) {
	c := &Certificates{}
	if authorities != "" {
		pem, err := os.ReadFile(authorities)
		if err != nil {
			return nil, fmt.Errorf("auth: %w", err)
		}
		c.Roots = x509.NewCertPool()
		if !c.Roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("auth: %s: no certificate in it", authorities)
		}
	}
	if fingerprints != "" {
		f, err := os.Open(fingerprints)
		if err != nil {
			return nil, fmt.Errorf("auth: %w", err)
		}
		defer f.Close()
		if c.Logins, err = parseFingerprints(f); err != nil {
			return nil, fmt.Errorf("auth: %s: %w", fingerprints, err)
		}
	}
	return c, nil
}

// parseFingerprints reads lines of "fingerprint login"; colons in the
// fingerprint do not matter.
func parseFingerprints(r io.Reader) (map[string]string, error) {
	m := map[string]string{}
	lines := bufio.NewScanner(io.LimitReader(r, maxTable))
	lines.Buffer(make([]byte, 0, maxTableLine), maxTableLine)
	for n := 1; lines.Scan(); n++ {
		f := strings.Fields(lines.Text())
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		b, err := hex.DecodeString(strings.ReplaceAll(f[0], ":", ""))
		if err != nil || len(b) != sha256.Size || len(f) != 2 || !validLogin(f[1]) {
			return nil, fmt.Errorf("line %d is not a SHA-256 fingerprint and a login", n)
		}
		m[hex.EncodeToString(b)] = Fold(f[1])
	}
	return m, lines.Err()
}

// fits says whether there is any use in offering EXTERNAL.
func (c *Certificates) fits(t *tls.ConnectionState) bool {
	return t != nil && len(t.PeerCertificates) > 0
}

// logins are the names that a certificate stands for, the first being the one
// that counts when the client names none.
func (c *Certificates) logins(t *tls.ConnectionState, now time.Time) []string {
	if !c.fits(t) {
		return nil
	}
	leaf := t.PeerCertificates[0]
	sum := sha256.Sum256(leaf.Raw)
	if login, ok := c.Logins[hex.EncodeToString(sum[:])]; ok {
		if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
			return nil
		}
		return []string{login}
	}
	if c.Roots == nil || c.verify(t.PeerCertificates, now) != nil {
		return nil
	}
	var names []string
	for _, n := range append(leaf.EmailAddresses, leaf.Subject.CommonName) {
		if n = Fold(n); validLogin(n) {
			names = append(names, n)
		}
	}
	return names
}

func (c *Certificates) verify(chain []*x509.Certificate, now time.Time) error {
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: c.Roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err
}

// external judges the certificate of the connection. The handshake has proved
// that the client holds its key.
func (x *exchange) external(identity string) error {
	names := x.local.Certificates.logins(x.peer.TLS, time.Now())
	if len(names) == 0 {
		return x.judge(ErrRefused)
	}
	login := names[0]
	if identity != "" {
		login = ""
		for _, n := range names {
			if n == Fold(identity) {
				login = n
			}
		}
		if login == "" {
			return x.judge(ErrRefused)
		}
	}
	x.login = login
	return x.judge(nil)
}
