package dkimkey

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Bounds.
const (
	MinBits = 2048 // of an RSA key; RFC 8301 §3.2 wants 1024 and advises 2048
	MaxBits = 4096 // verifiers need not take longer ones
	maxFile = 64 << 10
)

// The types of keys, as k= has them.
const (
	RSA     = "rsa"
	Ed25519 = "ed25519"
)

// Generate makes a key. bits counts for RSA.
func Generate(kind string, bits int) (crypto.Signer, error) {
	switch kind {
	case Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case RSA:
		if bits < MinBits || bits > MaxBits {
			return nil, fmt.Errorf("an RSA key has from %d to %d bits", MinBits, MaxBits)
		}
		return rsa.GenerateKey(rand.Reader, bits)
	}
	return nil, fmt.Errorf("no type of key %q", kind)
}

// Write writes a key to a new file that only its owner can read; one that is
// there already is left alone (an error that is fs.ErrExist). The file is synced.
func Write(path string, key crypto.Signer) (err error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(path)
		}
	}()
	err = errors.Join(pem.Encode(f, &pem.Block{Type: "PRIVATE KEY", Bytes: der}), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(path))
}

func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Read reads a key that can sign.
func Read(path string) (crypto.Signer, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, err
	}
	return parse(b)
}

func parse(b []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, errors.New("not a PEM file")
	}
	var key any
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("a PEM block %q is no private key that can be used", block.Type)
	}
	if err != nil {
		return nil, errors.New("the private key cannot be read")
	}
	switch key := key.(type) {
	case ed25519.PrivateKey:
		return key, nil
	case *rsa.PrivateKey:
		if n := key.N.BitLen(); n < MinBits {
			return nil, fmt.Errorf("an RSA key of %d bits; at least %d are wanted", n, MinBits)
		}
		return key, nil
	}
	return nil, errors.New("neither an RSA nor an Ed25519 key")
}
