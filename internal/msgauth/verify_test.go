package msgauth

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"
)

// fake is a DKIM-Signature field with the required tags, and more.
func fake(more string) string {
	return "DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=s; h=from; bh=eA==; b=eA==;" + more + "\r\n"
}

func TestKeysAndSignaturesThatDoNotCount(t *testing.T) {
	key, good := newKey(t, "rsa", "example.org", "s")
	record := good["s._domainkey.example.org"][0]
	p := record[strings.Index(record, "p="):]
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GODEBUG", "rsa1024min=0")
	tiny, err := rsa.GenerateKey(rand.Reader, 512)
	if err != nil {
		t.Fatal(err)
	}
	public := func(k *rsa.PrivateKey) string {
		der, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		return "v=DKIM1; p=" + base64.StdEncoding.EncodeToString(der)
	}
	signed := sign(t, relaxed, plainMessage, key)
	of1024 := sign(t, relaxed, plainMessage, Signer{"example.org", "s", weak})
	for name, tt := range map[string]struct {
		records []string
		message string
		want    Result
		reason  string
	}{
		"good":            {[]string{record}, signed, Pass, ""},
		"no version":      {[]string{"k=rsa;" + p}, signed, Pass, ""},
		"1024 bits":       {[]string{public(weak)}, of1024, Pass, ""},
		"512 bits":        {[]string{public(tiny)}, signed, PermError, "too short"},
		"none":            {nil, signed, PermError, "no key"},
		"broken DNS":      {[]string{"!"}, signed, TempError, "looked up"},
		"two":             {[]string{record, record}, signed, PermError, "more than one"},
		"revoked":         {[]string{"v=DKIM1; p="}, signed, PermError, "revoked"},
		"another version": {[]string{"v=DKIM2;" + p}, signed, PermError, ""},
		"sha1 only":       {[]string{"v=DKIM1; h=sha1;" + p}, signed, PermError, "something else"},
		"other service":   {[]string{"v=DKIM1; s=tlsrpt;" + p}, signed, PermError, "something else"},
		"other type":      {[]string{"v=DKIM1; k=ed25519;" + p}, signed, PermError, "cannot be read"},
		"another key":     {[]string{public(weak)}, signed, Fail, "does not fit"},
		"junk":            {[]string{"\x00\xff;;=;p=\x80"}, signed, PermError, ""},
		"huge":            {[]string{"v=DKIM1; p=" + strings.Repeat("A", 60<<10)}, signed, PermError, "no key"},
		"strict, same":    {[]string{"v=DKIM1; t=y:s;" + p}, signed, Pass, ""},
		"l=":              {[]string{record}, fake(" l=0;") + plainMessage, Policy, "not signed"},
		"sha1":            {[]string{record}, strings.Replace(fake(""), "sha256", "sha1", 1) + plainMessage, PermError, "else"},
		"no From":         {[]string{record}, strings.Replace(fake(""), "h=from", "h=to", 1) + plainMessage, PermError, "From field"},
		"identity":        {[]string{record}, fake(" i=a@example.net;") + plainMessage, PermError, "another domain"},
		"expired":         {[]string{record}, fake(" x=1000000000;") + plainMessage, Fail, "expired"},
		"no tags":         {[]string{record}, "DKIM-Signature: \xff\r\n" + plainMessage, PermError, "cannot be read"},
		"empty":           {[]string{record}, "DKIM-Signature:\r\n" + plainMessage, PermError, "cannot be read"},
		"tag twice":       {[]string{record}, fake(" d=example.net;") + plainMessage, PermError, "cannot be read"},
		"no base64":       {[]string{record}, strings.Replace(fake(""), "b=eA==", "b=*", 1) + plainMessage, PermError, "cannot be read"},
	} {
		r := check(t, texts{"s._domainkey.example.org": tt.records}, "", tt.message)
		if len(r.Signatures) != 1 || r.Signatures[0].Result != tt.want || !strings.Contains(r.Signatures[0].Reason, tt.reason) {
			t.Errorf("%s: got %+v, want %s %q", name, r.Signatures, tt.want, tt.reason)
		}
	}
}

func TestKeyForADomainAloneSignsForNoSubdomain(t *testing.T) {
	key, records := newKey(t, "ed25519", "example.org", "s")
	name := "s._domainkey.example.org"
	for _, tt := range []struct {
		identity, flag string
		want           Result
	}{
		{"a@sub.example.org", "", Pass}, {"a@sub.example.org", " t=y;", Pass}, {"a@sub.example.org", " t=y : s;", PermError}, {"a@example.org", " t=s;", Pass},
	} {
		var signed strings.Builder
		err := dkim.Sign(&signed, strings.NewReader(plainMessage), &dkim.SignOptions{Domain: "example.org", Selector: "s", Identifier: tt.identity, Signer: key.Key})
		if err != nil {
			t.Fatal(err)
		}
		record := strings.Replace(records[name][0], "k=", tt.flag+" k=", 1)
		if r := check(t, texts{name: {record}}, "", signed.String()); outcomes(r) != string(tt.want) {
			t.Errorf("%+v: %+v", tt, r.Signatures)
		}
	}
}

func TestManySignaturesAreNotAllVerified(t *testing.T) {
	key, records := newKey(t, "ed25519", "example.org", "s")
	counter := &counting{texts: records}
	message := sign(t, relaxed, strings.Repeat(fake(""), 1000)+plainMessage, key)
	r := check(t, counter, "", message)
	if len(r.Signatures) != MaxSignatures || r.More != 1001-MaxSignatures || r.Signatures[0].Result != Pass {
		t.Errorf("%d verified, %d more, the first %s", len(r.Signatures), r.More, r.Signatures[0].Result)
	}
	if n := counter.n.Load(); n > MaxSignatures+6 {
		t.Errorf("%d questions", n)
	}
	if f := r.Field("mx.test"); !strings.Contains(f, "993 more signatures") || len(f) > 4000 {
		t.Errorf("a field of %d octets: %s", len(f), f)
	}
}

// counting counts questions.
type counting struct {
	texts
	n atomic.Int64
}

func (c *counting) LookupTXT(ctx context.Context, name string) ([]string, error) {
	c.n.Add(1)
	return c.texts.LookupTXT(ctx, name)
}

func TestMessagesThatWouldBeCostlyAreNotAcceptable(t *testing.T) {
	_, records := newKey(t, "rsa", "example.org", "s")
	body := "\r\nbody\r\n"
	for name, message := range map[string]string{
		"fields":  fake("") + "From: a@example.org\r\n" + strings.Repeat("X: y\r\n", 100_000) + body,
		"lines":   fake("") + "From: a@example.org\r\nX:\r\n" + strings.Repeat(" y\r\n", 200_000) + body,
		"names":   fake(" h2=x; ") + strings.Replace(fake(""), "h=from", "h=from"+strings.Repeat(":x", 100_000), 1) + "From: a@example.org\r\n" + body,
		"body":    fake("") + "From: a@example.org\r\n\r\n" + strings.Repeat("\r\n", 5<<20) + "x",
		"body, 2": fake("") + fake("") + "From: a@example.org\r\n\r\n" + strings.Repeat("\r\n", 5<<20) + "x",
	} {
		begun := time.Now()
		r := check(t, records, "", message)
		for _, s := range r.Signatures {
			if s.Result != Policy {
				t.Errorf("%s: %+v", name, s)
			}
		}
		t.Logf("%s: %v", name, time.Since(begun))
	}
}

func FuzzVerify(f *testing.F) {
	key, records := newKey(f, "ed25519", "example.org", "s")
	f.Add([]byte(sign(f, relaxed, plainMessage, key)), "v=DKIM1; k=ed25519; p=eA==")
	f.Add([]byte(crlf(rfc8463)), "k=rsa; p=")
	f.Add([]byte(fake("; l=1; x=-1")+"From: \"@\" <>\r\n\r\n"), ";;")
	f.Add([]byte("From\r\n"), "")
	f.Fuzz(func(t *testing.T, message []byte, record string) {
		x := texts{"s._domainkey.example.org": {record}, "_dmarc.example.org": {record}, "brisbane._domainkey.football.example.com": records["s._domainkey.example.org"]}
		h, body, _ := strings.Cut(string(message), "\r\n\r\n")
		c := &Checker{Resolver: x}
		r, err := c.Check(t.Context(), Session{ReversePath: h[:min(len(h), 40)]}, []byte(h), strings.NewReader(body))
		if err != nil {
			t.Skip(err) // a header section that go-msgauth cannot read
		}
		field := r.Field("mx.test")
		for _, line := range strings.Split(field, "\r\n") {
			if len(line) > 998 || strings.ContainsFunc(line, func(r rune) bool { return r > '~' || r < ' ' && r != '\t' }) {
				t.Fatalf("bad line %q", line)
			}
		}
		if !Claims(field, "MX.test") {
			t.Fatalf("our own field is not recognised: %q", field)
		}
		_ = fmt.Sprint(r.Symbols())
	})
}
