package dkimkey

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// maxString is how long one string of a TXT record may be (RFC 1035 §3.3), in
// octets.
const maxString = 255

// Record is the text of the DNS record for a public key (RFC 6376 §3.6.1,
// RFC 8463 §4).
func Record(public crypto.PublicKey) (string, error) {
	switch key := public.(type) {
	case ed25519.PublicKey:
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(key), nil
	case *rsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			return "", err
		}
		return "v=DKIM1; k=rsa; h=sha256; p=" + base64.StdEncoding.EncodeToString(der), nil
	}
	return "", fmt.Errorf("no record for a %T", public)
}

// Name is where the record of a selector is.
func Name(selector, domain string) string { return selector + "._domainkey." + domain }

// ZoneLine is a record in the form of a zone file, cut into strings.
func ZoneLine(selector, domain, record string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s. IN TXT (", Name(selector, domain))
	for record != "" {
		n := min(len(record), maxString)
		fmt.Fprintf(&b, "\n\t\"%s\"", record[:n])
		record = record[n:]
	}
	b.WriteString(" )")
	return b.String()
}

// Fits says why a published record is not that of a key; nil when it is.
func Fits(record string, public crypto.PublicKey) error {
	want, err := Record(public)
	if err != nil {
		return err
	}
	have := tags(record)
	switch wanted := tags(want); {
	case have["v"] != "" && have["v"] != "DKIM1":
		return errors.New("the record is not one of DKIM")
	case have["p"] == "":
		return errors.New("the record revokes the key: p= is empty")
	case orRSA(have["k"]) != wanted["k"]:
		return fmt.Errorf("the record is for a key of type %s, the key is %s", orRSA(have["k"]), wanted["k"])
	case have["h"] != "" && !strings.Contains(":"+have["h"]+":", ":sha256:"):
		return errors.New("the record does not allow SHA-256: h=" + have["h"])
	case have["p"] != wanted["p"]:
		return errors.New("the record holds another key")
	}
	return nil
}

func orRSA(k string) string {
	if k == "" {
		return RSA
	}
	return k
}

// tags reads a tag list; white space in values is left out.
func tags(list string) map[string]string {
	out := map[string]string{}
	for spec := range strings.SplitSeq(list, ";") {
		if name, value, ok := strings.Cut(spec, "="); ok {
			out[strings.TrimSpace(name)] = strings.Join(strings.Fields(value), "")
		}
	}
	return out
}
