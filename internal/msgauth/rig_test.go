package msgauth

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"

	"mtad/internal/dkimkey"
	"mtad/internal/msgauth/dnstest"
	"mtad/internal/mxlookup"
)

// texts is a Resolver with TXT records alone; "!" breaks a name.
type texts map[string][]string

func (x texts) LookupTXT(ctx context.Context, name string) ([]string, error) {
	list := x[strings.ToLower(strings.TrimSuffix(name, "."))]
	switch {
	case len(list) == 1 && list[0] == "!", ctx.Err() != nil:
		return nil, &net.DNSError{Name: name, IsTemporary: true}
	case list == nil:
		return nil, &net.DNSError{Name: name, IsNotFound: true}
	}
	return list, nil
}

func (x texts) LookupMX(context.Context, string) ([]*net.MX, error) {
	return nil, &net.DNSError{IsNotFound: true}
}

func (x texts) LookupIPAddr(context.Context, string) ([]net.IPAddr, error) {
	return nil, &net.DNSError{IsNotFound: true}
}

func (x texts) LookupAddr(context.Context, string) ([]string, error) {
	return nil, &net.DNSError{IsNotFound: true}
}

// resolver asks a zone, as mtad does.
func resolver(t testing.TB, records string) (*dnstest.Zone, Resolver) {
	z := dnstest.Serve(t, records)
	return z, mxlookup.New(mxlookup.Options{Servers: []string{z.Addr}, Rounds: 1})
}

// cut is a message in header section and body.
func cut(t testing.TB, message string) (header []byte, body string) {
	t.Helper()
	h, body, found := strings.Cut(message, "\r\n\r\n")
	if !found {
		t.Fatalf("no body in %q", message)
	}
	return []byte(h + "\r\n"), body
}

// check checks a message of a client.
func check(t testing.TB, r Resolver, client, message string) Results {
	t.Helper()
	header, body := cut(t, message)
	c := &Checker{Resolver: r}
	var addr netip.Addr
	if client != "" {
		addr = netip.MustParseAddr(client)
	}
	res, err := c.Check(context.Background(), Session{Client: addr, Helo: "mail.example.org", ReversePath: "bounce@example.org"}, header, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// newKey makes a signer and its record.
func newKey(t testing.TB, kind, domain, selector string) (Signer, texts) {
	t.Helper()
	key, err := dkimkey.Generate(kind, 2048)
	if err != nil {
		t.Fatal(err)
	}
	record, err := dkimkey.Record(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return Signer{Domain: domain, Selector: selector, Key: key}, texts{dkimkey.Name(selector, domain): {record}}
}

// sign signs a message and puts the fields in front.
func sign(t testing.TB, o Signing, message string, signers ...Signer) string {
	t.Helper()
	if len(signers) == 0 {
		return message
	}
	header, body := cut(t, message)
	fields, err := o.Sign(header, strings.NewReader(body), signers)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range fields {
		b.WriteString("DKIM-Signature:" + f + "\r\n")
	}
	return b.String() + message
}

// outcomes are the results of signatures, in order.
func outcomes(r Results) string {
	var list []string
	for _, s := range r.Signatures {
		list = append(list, string(s.Result))
	}
	return strings.Join(list, " ")
}

var relaxed = Signing{
	Headers:  []string{"From", "To", "Subject", "Date", "Message-ID", "X-Odd"},
	Oversign: []string{"From", "Subject"}, Canonicalization: "relaxed/relaxed",
}

const plainMessage = "From: Author <author@example.org>\r\nTo: b@example.net\r\nSubject: hello\r\nDate: Sun, 22 Nov 2026 02:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\nhello\r\n"
