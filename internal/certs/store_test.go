package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// writePair makes a certificate for a host in dir; useRSA picks the kind of key.
func writePair(t *testing.T, dir, host string, serial int64, useRSA bool) Pair {
	t.Helper()
	var key any
	var public any
	if useRSA {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		key, public = k, &k.PublicKey
	} else {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		key, public = k, &k.PublicKey
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Unix(1e9, 0), NotAfter: time.Unix(4e9, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, public, key)
	if err != nil {
		t.Fatal(err)
	}
	kder, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p := Pair{filepath.Join(dir, host+".pem"), filepath.Join(dir, host+".key")}
	writePEM(t, p.Certificate, "CERTIFICATE", der)
	writePEM(t, p.Key, "PRIVATE KEY", kder)
	return p
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// shown is the serial number that a client gets.
func shown(t *testing.T, server, client *tls.Config) int64 {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	go func() { _ = tls.Server(a, server).Handshake() }()
	client.InsecureSkipVerify = true // the number is looked at, not the name
	c := tls.Client(b, client)
	if err := c.Handshake(); err != nil {
		return 0
	}
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func TestCertificatesAreChosenByName(t *testing.T) {
	dir := t.TempDir()
	s := New(Options{})
	main, other := writePair(t, dir, "mail.example.org", 1, false), writePair(t, dir, "*.example.net", 2, false)
	old := writePair(t, t.TempDir(), "mail.example.org", 3, true)
	for _, p := range []Pair{main, other, old} {
		if err := s.Load(p); err != nil {
			t.Fatal(err)
		}
	}
	c := s.Config(Show{Default: main, More: []Pair{other, old}, MinVersion: tls.VersionTLS12})
	rsaOnly := &tls.Config{ServerName: "mail.example.org", MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}
	for name, x := range map[string]struct {
		client *tls.Config
		want   int64
	}{
		"the name of the default":   {&tls.Config{ServerName: "mail.example.org"}, 1},
		"another name":              {&tls.Config{ServerName: "mx.example.net"}, 2},
		"a name nobody has":         {&tls.Config{ServerName: "example.com"}, 1},
		"no name":                   {&tls.Config{}, 1},
		"a client that wants RSA":   {rsaOnly, 3},
		"a version that is too old": {&tls.Config{MaxVersion: tls.VersionTLS11}, 0},
	} {
		if got := shown(t, c, x.client); got != x.want {
			t.Errorf("%s: got certificate %d, want %d", name, got, x.want)
		}
	}
}

func TestChangedFilesAreReadAndBrokenOnesAreNot(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	s := New(Options{Logger: slog.New(slog.NewTextHandler(&log, nil)), Registry: reg})
	p := writePair(t, dir, "mail.example.org", 1, false)
	if err := s.Load(p); err != nil {
		t.Fatal(err)
	}
	c := s.Config(Show{Default: p})
	want := func(serial int64) {
		t.Helper()
		s.Refresh()
		if got := shown(t, c, &tls.Config{}); got != serial {
			t.Errorf("got certificate %d, want %d", got, serial)
		}
	}
	want(1)
	writePair(t, dir, "mail.example.org", 2, false)
	want(2)
	key, err := os.ReadFile(p.Key)
	if err != nil {
		t.Fatal(err)
	}
	writePair(t, dir, "mail.example.org", 3, false)
	newKey, err := os.ReadFile(p.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.Key, key, 0o600); err != nil { // the new certificate came before its key
		t.Fatal(err)
	}
	want(2)
	want(2)
	if err := os.WriteFile(p.Key, newKey, 0o600); err != nil {
		t.Fatal(err)
	}
	want(3)
	if err := os.Remove(p.Certificate); err != nil {
		t.Fatal(err)
	}
	want(3)
	if n := strings.Count(log.String(), "cannot be used"); n != 2 {
		t.Errorf("%d lines of trouble, want 2:\n%s", n, &log)
	}
	values := gather(t, reg)
	if got := values["mtad_tls_certificate_failures_total"]; got != 2 {
		t.Errorf("counted %v failures, want 2", got)
	}
	if got := values["mtad_tls_certificate_not_after_timestamp_seconds"]; got != 4e9 {
		t.Errorf("the end of validity is %v", got)
	}
}

// gather sums each metric.
func gather(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			values[f.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return values
}

func TestListenersWithoutACertificateShowNone(t *testing.T) {
	s := New(Options{})
	if got := shown(t, s.Config(Show{}), &tls.Config{ServerName: "mail.example.org"}); got != 0 {
		t.Errorf("got certificate %d", got)
	}
	if err := s.Load(Pair{"/nonexistent/c", "/nonexistent/k"}); err == nil {
		t.Error("files that are not there were loaded")
	}
}
