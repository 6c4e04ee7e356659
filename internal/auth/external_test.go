package auth

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestCertificatesAreLogins(t *testing.T) {
	dir := t.TempDir()
	client := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	authority := newCert(t, &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil)
	foreign := newCert(t, &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil)
	ann := x509.Certificate{Subject: pkix.Name{CommonName: "Ann"}, EmailAddresses: []string{"Ann@example.org", "sales@example.org"}, ExtKeyUsage: client}
	listed := newCert(t, &x509.Certificate{Subject: pkix.Name{CommonName: "root"}}, nil)
	file := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	over := newCert(t, &x509.Certificate{Subject: pkix.Name{CommonName: "over"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)}, nil)
	sum, gone := sha256.Sum256(listed.Certificate[0]), sha256.Sum256(over.Certificate[0])
	certs, err := LoadCertificates(CertificateOptions{
		Authorities:  file("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Certificate[0]})),
		Fingerprints: file("logins", []byte("# machines\n"+hex.EncodeToString(sum[:])+" backup\n"+hex.EncodeToString(gone[:])+" over\n")),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &Service{Backend: &Local{Certificates: certs}, Failures: 100}
	old := ann
	old.NotBefore, old.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	server := ann
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for name, c := range map[string]struct {
		cert  *tls.Certificate
		arg   string
		code  int
		login string
	}{
		"signed":                  {newCert(t, &ann, authority), "EXTERNAL =", 235, "ann@example.org"},
		"as its second address":   {newCert(t, &ann, authority), "EXTERNAL " + b64("sales@example.org"), 235, "sales@example.org"},
		"as its common name":      {newCert(t, &ann, authority), "EXTERNAL " + b64("ann"), 235, "ann"},
		"as somebody else":        {newCert(t, &ann, authority), "EXTERNAL " + b64("bob@example.org"), 535, ""},
		"NUL in the identity":     {newCert(t, &ann, authority), "EXTERNAL " + b64("ann@example.org\x00"), 501, ""},
		"signed by somebody else": {newCert(t, &ann, foreign), "EXTERNAL =", 535, ""},
		"run out":                 {newCert(t, &old, authority), "EXTERNAL =", 535, ""},
		"for servers":             {newCert(t, &server, authority), "EXTERNAL =", 535, ""},
		"by fingerprint":          {listed, "EXTERNAL =", 235, "backup"},
		"by fingerprint, run out": {over, "EXTERNAL =", 535, ""},
		"by fingerprint as root":  {listed, "EXTERNAL " + b64("root"), 535, ""},
		"none":                    {nil, "EXTERNAL =", 504, ""},
		"password beside it":      {newCert(t, &ann, authority), "PLAIN " + b64("\x00ann\x00x"), 504, ""},
	} {
		t.Run(name, func(t *testing.T) {
			x := session("192.0.2.1")
			x.Peer.TLS = newChannel(t, c.cert, 0).server.TLS
			if login, code, _ := dialogueOf(s, x, c.arg); code != c.code || login != c.login {
				t.Errorf("got %d for %q, want %d for %q", code, login, c.code, c.login)
			}
		})
	}
	x := session("192.0.2.1")
	x.Peer.TLS = newChannel(t, listed, 0).server.TLS
	file("logins", []byte("# nobody\n"))
	if _, code, _ := dialogueOf(s, x, "EXTERNAL ="); code != 535 {
		t.Errorf("taken from the list: got %d, want 535", code)
	}
	file("logins", []byte("nonsense\n"))
	if _, code, _ := dialogueOf(s, x, "EXTERNAL ="); code != 535 {
		t.Errorf("a broken list: got %d, want 535", code)
	}
}
