package msgauth

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-msgauth/dkim"
)

// Signer makes a DKIM signature with one key.
type Signer struct {
	Domain, Selector string
	// Key is an RSA key of 2048 bits or more, or an Ed25519 key.
	Key crypto.Signer
}

// Signing says what signatures cover.
type Signing struct {
	// Headers are names of fields that are signed where they are there: each one of
	// the name. From is always signed.
	Headers []string
	// Oversign are names of fields, whether there or not, that none can be added of
	// (RFC 6376 §8.15).
	Oversign []string
	// Canonicalization is "relaxed/relaxed" or another pair of relaxed and simple.
	Canonicalization string
	// Expire is how long a signature is good for (x=); 0: it does not say.
	Expire time.Duration
}

// maxTag bounds the value of h=, which go-msgauth does not fold: a line has no
// more than 998 octets (RFC 5322 §2.1.1).
const maxTag = 900

// Sign makes a signature with each of signers over a message: header is its
// header section, without the separator, and body what follows, which is read
// once and not kept. It returns the values of the DKIM-Signature fields, in the
// order of signers, folded, to be put on top of the message exactly as they are.
// There is no l= in them. Errors are ErrUnsignable, or those of body and keys.
func (o Signing) Sign(header []byte, body io.Reader, signers []Signer) (fields []string, err error) {
	names := o.names(header)
	if !Signable(header) || len(strings.Join(names, ":")) > maxTag {
		return nil, ErrUnsignable
	}
	var open []*dkim.Signer
	defer func() {
		for _, s := range open {
			if err != nil {
				_ = s.Close() // ends its goroutine
			}
		}
	}()
	var writers []io.Writer
	for _, s := range signers {
		d, err := o.open(s, names)
		if err != nil {
			return nil, err
		}
		open, writers = append(open, d), append(writers, d)
	}
	g := &guard{r: body}
	if _, err = io.Copy(io.MultiWriter(writers...), message(header, g)); err != nil {
		return nil, fmt.Errorf("msgauth: sign: %w", err)
	}
	if g.err != nil {
		return nil, g.err
	}
	for len(open) > 0 {
		d := open[0]
		open = open[1:]
		if err = d.Close(); err != nil {
			return nil, fmt.Errorf("msgauth: sign: %w", err)
		}
		_, value, _ := strings.Cut(d.Signature(), ":")
		fields = append(fields, strings.TrimSuffix(value, "\r\n"))
	}
	return fields, nil
}

func (o Signing) open(s Signer, names []string) (*dkim.Signer, error) {
	headerForm, bodyForm, _ := strings.Cut(o.Canonicalization, "/")
	options := &dkim.SignOptions{
		Domain: s.Domain, Selector: s.Selector, Signer: s.Key, HeaderKeys: names,
		HeaderCanonicalization: dkim.Canonicalization(headerForm), BodyCanonicalization: dkim.Canonicalization(bodyForm),
	}
	if o.Expire > 0 {
		options.Expiration = time.Now().Add(o.Expire)
	}
	d, err := dkim.NewSigner(options)
	if err != nil {
		return nil, fmt.Errorf("msgauth: %w", err)
	}
	return d, nil
}

// names is the list for h=: a name for each field there is, and one more for
// those that none can be added of.
func (o Signing) names(header []byte) []string {
	there := map[string]int{}
	for _, f := range fieldsOf(header) {
		there[strings.ToLower(f.name)]++
	}
	var list []string
	seen := map[string]bool{}
	for _, name := range slices.Concat([]string{"From"}, o.Headers, o.Oversign) {
		lower := strings.ToLower(name)
		if seen[lower] {
			continue
		}
		seen[lower] = true
		for range min(there[lower], maxNames) {
			list = append(list, name)
		}
	}
	return append(list, o.Oversign...)
}

// SignedBy is the position, from 1, of the first DKIM-Signature field of a key
// in a header section; 0 when there is none.
func SignedBy(header []byte, s Signer) int {
	for i, value := range values(fieldsOf(header), "DKIM-Signature") {
		if sig := signatureOf(tagsOf(value)); sig.Domain == s.Domain && sig.Selector == s.Selector {
			return i + 1
		}
	}
	return 0
}

// CheckKey says why a key cannot sign.
func CheckKey(s Signer) error {
	if s.Key == nil {
		return errors.New("msgauth: no key")
	}
	_, err := Signing{Canonicalization: "relaxed/relaxed"}.Sign([]byte("From: a@example.org\r\n"), strings.NewReader(""), []Signer{s})
	return err
}
