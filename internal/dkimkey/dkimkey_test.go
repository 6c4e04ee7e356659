package dkimkey

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeysAreReadAsTheyWereWritten(t *testing.T) {
	for _, kind := range []string{RSA, Ed25519} {
		key, err := Generate(kind, MinBits)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "key")
		if err := Write(path, key); err != nil {
			t.Fatal(err)
		}
		if err := Write(path, key); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: written twice: %v", kind, err)
		}
		got, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		record, err := Record(got.Public())
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(Usable(record), Fits(record, key.Public())); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestFilesThatCannotSignAreRefused(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curveDER, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	for text, want := range map[string]string{
		"":                              "not a PEM file",
		"v=DKIM1; k=rsa; p=x":           "not a PEM file",
		block("CERTIFICATE", nil):       "no private key",
		block("PRIVATE KEY", []byte{1}): "cannot be read",
		block("PRIVATE KEY", curveDER):  "neither an RSA nor an Ed25519 key",
		strings.Repeat("x", 10<<20):     "not a PEM file",
		block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(weak)): "1024 bits",
	} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want %q", text, err, want)
		}
	}
}

func TestZoneLineIsCutIntoStrings(t *testing.T) {
	line := ZoneLine("s", "example.org", strings.Repeat("a", 600))
	if got := strings.Count(line, "\n\t\""); got != 3 {
		t.Errorf("%d strings in %q", got, line)
	}
	for _, s := range strings.Split(line, "\"") {
		if len(s) > maxString {
			t.Errorf("a string of %d octets", len(s))
		}
	}
}

func FuzzUsable(f *testing.F) {
	f.Add("v=DKIM1; k=rsa; p=MIIB")
	f.Add("k=ed25519; p=jqXUpsqRqUFH1nZmsFT2xNsT+aqfblLPIgs6LaiXde8=")
	f.Add(";;=;p")
	key, err := Generate(Ed25519, 0)
	if err != nil {
		f.Fatal(err)
	}
	own, _ := Record(key.Public())
	f.Fuzz(func(t *testing.T, record string) {
		if Usable(record) == nil && Fits(record, key.Public()) == nil && tags(record)["p"] != tags(own)["p"] {
			t.Errorf("%q fits a key that it does not hold", record)
		}
	})
}
