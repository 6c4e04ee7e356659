package webhook

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Secret signs what a target gets.
type Secret []byte

const (
	secretPrefix = "whsec_"
	minSecret    = 24 // octets
	maxSecret    = 64
	maxSecrets   = 2 // of one target: the new one and the old one
	// maxSecretFile bounds a file of secrets, in octets.
	maxSecretFile = 4096
)

// NewSecret makes a secret, in the form of a secrets file.
func NewSecret() string {
	var b [32]byte
	rand.Read(b[:])
	return secretPrefix + base64.StdEncoding.EncodeToString(b[:])
}

// ParseSecrets reads a file of secrets: one or two lines of "whsec_" and 24 to 64
// octets in base64; empty lines and lines that begin with # are skipped. Every
// request is signed with each of them. Errors do not repeat what was read.
func ParseSecrets(file []byte) ([]Secret, error) {
	if len(file) > maxSecretFile {
		return nil, errors.New("webhook: a file of secrets is not so long")
	}
	var out []Secret
	sc := bufio.NewScanner(bytes.NewReader(file))
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		plain, ok := strings.CutPrefix(line, secretPrefix)
		b, err := base64.StdEncoding.DecodeString(plain)
		if !ok || err != nil || len(b) < minSecret || len(b) > maxSecret {
			return nil, fmt.Errorf("webhook: line %d is not whsec_ and %d to %d octets in base64", n, minSecret, maxSecret)
		}
		out = append(out, b)
	}
	switch {
	case sc.Err() != nil:
		return nil, errors.New("webhook: a line of the file of secrets is too long")
	case len(out) == 0:
		return nil, errors.New("webhook: the file holds no secret")
	case len(out) > maxSecrets:
		return nil, fmt.Errorf("webhook: the file holds more than %d secrets", maxSecrets)
	}
	return out, nil
}

// Sign is the value of webhook-signature.
func Sign(secrets []Secret, id string, at time.Time, body []byte) string {
	var sigs []string
	for _, s := range secrets {
		m := hmac.New(sha256.New, s)
		m.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		m.Write(body)
		sigs = append(sigs, "v1,"+base64.StdEncoding.EncodeToString(m.Sum(nil)))
	}
	return strings.Join(sigs, " ")
}
