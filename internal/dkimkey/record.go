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

// Usable says why verifiers cannot use a published record; nil when they can.
func Usable(record string) error {
	t := tags(record)
	switch {
	case t["v"] != "" && t["v"] != "DKIM1":
		return errors.New("the record is not one of DKIM")
	case t["p"] == "":
		return errors.New("the record holds no key: p= is missing, or empty (revoked)")
	case t["h"] != "" && !strings.Contains(":"+t["h"]+":", ":sha256:"):
		return errors.New("the record does not allow SHA-256: h=" + t["h"])
	}
	der, err := base64.StdEncoding.DecodeString(t["p"])
	if err != nil {
		return errors.New("the key in the record is not base64")
	}
	switch k := orRSA(t["k"]); k {
	case Ed25519:
		if len(der) != ed25519.PublicKeySize {
			return fmt.Errorf("the Ed25519 key in the record has %d octets, not %d", len(der), ed25519.PublicKeySize)
		}
		return nil
	case RSA:
		return usableRSA(der)
	default:
		return fmt.Errorf("the record is for keys of type %q", k)
	}
}

func usableRSA(der []byte) error {
	public, err := x509.ParsePKIXPublicKey(der)
	key, ok := public.(*rsa.PublicKey)
	if err != nil || !ok {
		if key, err = x509.ParsePKCS1PublicKey(der); err != nil {
			return errors.New("the RSA key in the record cannot be read")
		}
	}
	if n := key.N.BitLen(); n < 1024 {
		return fmt.Errorf("the RSA key in the record has %d bits; verifiers want 1024 (RFC 8301)", n)
	}
	return nil
}

// Fits says why a published record, which is Usable, is not that of a key; nil
// when it is.
func Fits(record string, public crypto.PublicKey) error {
	want, err := Record(public)
	if err != nil {
		return err
	}
	have, wanted := tags(record), tags(want)
	switch k := orRSA(have["k"]); {
	case k != wanted["k"]:
		return fmt.Errorf("the record is for a key of type %s, the key is %s", k, wanted["k"])
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
