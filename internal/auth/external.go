package auth

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// Certificates say which client certificates stand for which login. Its files
// are read again when they change; what cannot be read leaves the old in use. It
// is safe for concurrent use.
type Certificates struct {
	o    CertificateOptions
	mu   sync.Mutex
	seen [2]stamp
	now  *holders
}

// CertificateOptions name the files; either may be "".
type CertificateOptions struct {
	// Authorities is a PEM file with who signed certificates whose holder is named by
	// the certificate itself: the e-mail address in its subjectAltName, or its common
	// name.
	Authorities string
	// Fingerprints has lines of a certificate's SHA-256 and a login.
	Fingerprints string
	Logger       *slog.Logger
}

// holders are the files as they were read; never changed.
type holders struct {
	roots  *x509.CertPool
	logins map[string]string // by SHA-256 of the DER form, in lower-case digits
}

// LoadCertificates reads the files.
func LoadCertificates(o CertificateOptions) (*Certificates, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Certificates{o: o}
	c.seen = c.stamps()
	var err error
	c.now, err = c.read()
	return c, err
}

func (c *Certificates) stamps() (both [2]stamp) {
	for i, path := range []string{c.o.Authorities, c.o.Fingerprints} {
		if fi, err := os.Stat(path); err == nil {
			both[i] = stampOf(fi)
		}
	}
	return both
}

func (c *Certificates) current() *holders {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.stamps()
	if at == c.seen {
		return c.now
	}
	c.seen = at
	h, err := c.read()
	if err != nil {
		c.o.Logger.Error("files of client certificates cannot be read, the old ones stay in use", "error", err)
		return c.now
	}
	c.now = h
	return h
}

func (c *Certificates) read() (*holders, error) {
	h := &holders{}
	if c.o.Authorities != "" {
		pem, err := os.ReadFile(c.o.Authorities)
		if err != nil {
			return nil, fmt.Errorf("auth: %w", err)
		}
		h.roots = x509.NewCertPool()
		if !h.roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("auth: %s: no certificate in it", c.o.Authorities)
		}
	}
	if c.o.Fingerprints != "" {
		f, err := os.Open(c.o.Fingerprints)
		if err != nil {
			return nil, fmt.Errorf("auth: %w", err)
		}
		defer f.Close()
		if h.logins, err = parseFingerprints(f); err != nil {
			return nil, fmt.Errorf("auth: %s: %w", c.o.Fingerprints, err)
		}
	}
	return h, nil
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
		if err != nil || len(b) != sha256.Size || len(f) != 2 || !ValidLogin(f[1]) {
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
	h := c.current()
	leaf := t.PeerCertificates[0]
	sum := sha256.Sum256(leaf.Raw)
	if login, ok := h.logins[hex.EncodeToString(sum[:])]; ok {
		if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
			return nil
		}
		return []string{login}
	}
	if h.roots == nil || h.verify(t.PeerCertificates, now) != nil {
		return nil
	}
	var names []string
	for _, n := range append(leaf.EmailAddresses, leaf.Subject.CommonName) {
		if n = Fold(n); ValidLogin(n) {
			names = append(names, n)
		}
	}
	return names
}

func (h *holders) verify(chain []*x509.Certificate, now time.Time) error {
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: h.roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
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
