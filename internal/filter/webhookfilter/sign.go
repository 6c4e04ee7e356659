package webhookfilter

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strconv"
	"time"
)

// SignatureField is the header field of a signed request: "t=TIME,v1=HEX". TIME is
// in seconds since 1970, HEX the HMAC-SHA256 over TIME, a dot, and the body.
const SignatureField = "Mtad-Signature"

// sign reads a body once and returns the field's value.
func sign(key []byte, now time.Time, b *body) (string, error) {
	r, err := b.open()
	if err != nil {
		return "", err
	}
	at := strconv.FormatInt(now.Unix(), 10)
	h := hmac.New(sha256.New, key)
	_, _ = io.WriteString(h, at+".")
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return "t=" + at + ",v1=" + hex.EncodeToString(h.Sum(nil)), nil
}
