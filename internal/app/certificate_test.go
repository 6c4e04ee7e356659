package app_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mtad/internal/app"
)

// writePair makes a certificate with a serial number and its key.
func writePair(t *testing.T, dir string, serial int64) {
	t.Helper()
	writePairOf(t, dir, &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "mx.test"}, DNSNames: []string{"mx.test"},
	})
}

// writePairFor makes a certificate that vouches for itself.
func writePairFor(t *testing.T, dir, host string) {
	t.Helper()
	writePairOf(t, dir, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	})
}

func writePairOf(t *testing.T, dir string, tmpl *x509.Certificate) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl.NotBefore, tmpl.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	kder, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{"c.pem": {Type: "CERTIFICATE", Bytes: der}, "k.pem": {Type: "PRIVATE KEY", Bytes: kder}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// serial is the number of the certificate that a listener shows.
func serial(t *testing.T, a *app.App) int64 {
	t.Helper()
	c, err := tls.Dial("tcp", a.Addr("smtp").String(), &tls.Config{InsecureSkipVerify: true}) // the number is looked at, not the name
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func TestReloadReadsCertificatesAgainAndForgetsOldOnes(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	writePair(t, dir, 1)
	text := func(from string) string {
		return fmt.Sprintf("tls: {certificate: %[1]s/c.pem, key: %[1]s/k.pem}\nlisteners:\n  smtp: {address: '127.0.0.1:0', kind: submissions}\napi: {listen: []}\n", from)
	}
	a, _ := start(t, read(t, dir, text(dir)))
	reload := func(text string) {
		t.Helper()
		if _, err := a.Reload(t.Context(), read(t, dir, text)); err != nil {
			t.Fatal(err)
		}
	}
	if got := serial(t, a); got != 1 {
		t.Errorf("got certificate %d, want 1", got)
	}
	writePair(t, dir, 2)
	reload(text(dir))
	if got := serial(t, a); got != 2 {
		t.Errorf("renewed in place: got certificate %d, want 2", got)
	}
	writePair(t, other, 3)
	reload(text(other))
	if got := serial(t, a); got != 3 {
		t.Errorf("from another file: got certificate %d, want 3", got)
	}
	if err := os.Remove(filepath.Join(dir, "c.pem")); err != nil {
		t.Fatal(err)
	}
	reload(text(other))

	if err := os.WriteFile(filepath.Join(other, "c.pem"), []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Reload(t.Context(), read(t, dir, text(other))); err == nil {
		t.Error("a broken certificate was not noticed")
	}
	if got := serial(t, a); got != 3 {
		t.Errorf("after a refused reload: got certificate %d, want 3", got)
	}
}
