package app_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/emersion/go-smtp"

	"mtad/internal/app"
	"mtad/internal/config"
	"mtad/internal/dkimkey"
	"mtad/internal/filter/scannertest"
	"mtad/internal/msgauth/dnstest"
	"mtad/internal/mxlookup"
	"mtad/queue"
)

// dkimKey makes a key of example.org and publishes it.
func dkimKey(t *testing.T, z *dnstest.Zone, dir, selector, kind string) (file string) {
	t.Helper()
	key, err := dkimkey.Generate(kind, 2048)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, selector+".pem")
	if err := dkimkey.Write(file, key); err != nil {
		t.Fatal(err)
	}
	record, err := dkimkey.Record(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	z.Text(dkimkey.Name(selector, "example.org"), record)
	return file
}

// signing is an mtad for our own clients, which signs with two keys.
func signing(t *testing.T, z *dnstest.Zone, next, canonicalization string) *app.App {
	t.Helper()
	dir := t.TempDir()
	a, _ := start(t, read(t, dir, fmt.Sprintf(`
listeners: {smtp: {address: "127.0.0.1:0", chain: out}}
api: {listen: ["127.0.0.1:0"]}
filters:
  sign:
    kind: dkim
    dkim:
      canonicalization: %s
      keys:
        - {domain: example.org, selector: rsa, file: %q}
        - {domain: example.org, selector: ed, file: %q, from: [example.org, .example.org]}
chains: {out: {filters: [sign]}}
delivery: {report_signer: sign}
smarthost: "[127.0.0.1]:%s"
`, canonicalization, dkimKey(t, z, dir, "rsa", dkimkey.RSA), dkimKey(t, z, dir, "ed", dkimkey.Ed25519), next[len("127.0.0.1:"):])))
	return a
}

// checking is an mtad that takes mail for example.net from strangers, and is
// told by XCLIENT who they are.
func checking(t *testing.T, z *dnstest.Zone, next, timing, settings string) *app.App {
	t.Helper()
	a, _ := start(t, read(t, t.TempDir(), fmt.Sprintf(`
listeners: {smtp: {address: "127.0.0.1:0", chain: in, xclient: [127.0.0.1]}}
api: {listen: ["127.0.0.1:0"]}
mynetworks: [192.0.2.200]
relay_domains: [example.net]
filters: {dmarc: {kind: dmarc, dmarc: {%s}}}
chains: {in: {filters: [dmarc], timing: %s}}
delivery: {dns_servers: [%q]}
smarthost: "[127.0.0.1]:%s"
`, settings, timing, z.Addr, next[len("127.0.0.1:"):])))
	return a
}

const policies = `
	example.org. 60 IN TXT "v=spf1 ip4:127.0.0.1 -all"
	_dmarc.example.org. 60 IN TXT "v=DMARC1; p=reject"
`

var signatureStart = regexp.MustCompile(`header\.b="?[^\s";]+"?`)

// results is the Authentication-Results field on top, unfolded.
func results(t *testing.T, got string) string {
	t.Helper()
	rest, ok := strings.CutPrefix(got, "Authentication-Results: ")
	if !ok {
		t.Fatalf("no results on top of %q", got)
	}
	end := regexp.MustCompile(`\r\n[^ \t]`).FindStringIndex(rest)[0]
	return signatureStart.ReplaceAllString(strings.Join(strings.Fields(rest[:end]), " "), "header.b=X")
}

func TestWhatOneMtadSignsAnotherVerifies(t *testing.T) {
	for _, canonicalization := range []string{"relaxed/relaxed", "simple/simple"} {
		z := dnstest.Serve(t, policies)
		next := newSink(t)
		b := checking(t, z, next.addr, "inline", "")
		a := signing(t, z, b.Addr("smtp").String(), canonicalization)
		message := scannertest.Header + "Subject:second\r\nX-Odd:\t folded \r\n\t and  spaced \r\n\r\nbody \xff with  spaces \r\n.\r\n\r\n\r\n"
		dial(t, a.Addr("smtp").String()).send(250, "bounce@example.org", "rcpt@example.net", message)
		got := string(next.wait(t).data)
		_, got, _ = strings.Cut(got, "Authentication-Results: ")
		got = "Authentication-Results: " + got
		want := "mx.test; spf=pass smtp.mailfrom=bounce@example.org; " +
			"dkim=pass header.d=example.org header.s=rsa header.a=rsa-sha256 header.b=X; " +
			"dkim=pass header.d=example.org header.s=ed header.a=ed25519-sha256 header.b=X; " +
			"dmarc=pass (p=reject dis=none) header.from=example.org"
		if r := results(t, got); r != want {
			t.Errorf("%s:\n got %s\nwant %s", canonicalization, r, want)
		}
		if !strings.HasSuffix(got, message) {
			t.Errorf("%s: the message was changed: %q", canonicalization, got)
		}
		if strings.Contains(got, "l=") && regexp.MustCompile(`;\s*l=`).MatchString(got) {
			t.Error("l= in a signature")
		}
	}
}

func TestStrangersAreNotSignedForWhateverTheySay(t *testing.T) {
	z := dnstest.Serve(t, policies)
	next := newSink(t)
	dir := t.TempDir()
	a, _ := start(t, read(t, dir, fmt.Sprintf(`
listeners: {smtp: {address: "127.0.0.1:0", chain: out, xclient: [127.0.0.1]}, msa: {kind: submission, address: "127.0.0.1:0", chain: out}}
api: {listen: ["127.0.0.1:0"]}
mynetworks: [192.0.2.0/24]
relay_domains: [example.net]
filters: {sign: {kind: dkim, dkim: {networks: [198.51.100.1], keys: [{domain: example.org, selector: s, file: %q}]}}}
chains: {out: {filters: [sign], timing: inline}}
smarthost: "[127.0.0.1]:%s"
`, dkimKey(t, z, dir, "s", dkimkey.Ed25519), next.addr[len("127.0.0.1:"):])))
	for client, signed := range map[string]bool{
		"ADDR=192.0.2.1": true, "ADDR=203.0.113.1": false, "ADDR=198.51.100.1": true, "ADDR=203.0.113.1 LOGIN=user": true,
	} {
		c := dial(t, a.Addr("smtp").String())
		c.do(220, "XCLIENT %s", client)
		c.do(250, "EHLO client.test")
		c.send(250, "sender@example.org", "rcpt@example.net", scannertest.Ham())
		got := content(t, next.wait(t).data)
		if strings.HasPrefix(got, "DKIM-Signature:") != signed {
			t.Errorf("%s: signed is not %t: %q", client, signed, got)
		}
		if !strings.HasSuffix(got, scannertest.Ham()) {
			t.Errorf("%s: the message was changed: %q", client, got)
		}
	}
}

func TestForgedResultsAreRemovedAndOthersKept(t *testing.T) {
	z := dnstest.Serve(t, policies)
	next := newSink(t)
	a := checking(t, z, next.addr, "after", "forged: [mx2.test]")
	forged := "Authentication-Results: mx.test; dmarc=pass\r\n" +
		"authentication-results : (a (b) \\( c)\r\n\t\"MX.\\test\" 1; dkim=pass\r\n" +
		"AUTHENTICATION-RESULTS:\r\n mx2.test.; spf=pass\r\n" +
		"Authentication-Results: (open mx.test; spf=pass\r\n"
	kept := "Authentication-Results: mx.other.test; spf=pass smtp.mailfrom=mx.test\r\n"
	dial(t, a.Addr("smtp").String()).send(250, "sender@example.org", "rcpt@example.net", forged+kept+scannertest.Ham())
	got := content(t, next.wait(t).data)
	r := results(t, got)
	if want := "mx.test; spf=pass smtp.mailfrom=sender@example.org; dkim=none; dmarc=pass (p=reject dis=none) header.from=example.org"; r != want {
		t.Errorf("got %s\nwant %s", r, want)
	}
	if rest := got[strings.Index(got, "header.from=example.org\r\n")+len("header.from=example.org\r\n"):]; rest != kept+scannertest.Ham() {
		t.Errorf("got %q, want the rest as it came", rest)
	}
}

func TestDMARCPolicyIsRecordedOrCarriedOut(t *testing.T) {
	z := dnstest.Serve(t, policies+`
		soft.test. 60 IN TXT "v=spf1 -all"
		_dmarc.soft.test. 60 IN TXT "v=DMARC1; p=quarantine"
	`)
	forged := func(t *testing.T, a *app.App, code int, from string) (reply, id string) {
		t.Helper()
		c := dial(t, a.Addr("smtp").String())
		c.do(220, "XCLIENT ADDR=203.0.113.1")
		c.do(250, "EHLO client.test")
		return c.send(code, "x@"+from, "rcpt@example.net", strings.ReplaceAll(scannertest.Ham(), "example.org", from))
	}
	next := newSink(t)
	forged(t, checking(t, z, next.addr, "inline", ""), 250, "example.org")
	if r := results(t, content(t, next.wait(t).data)); !strings.Contains(r, "spf=fail") || !strings.Contains(r, "dmarc=fail (p=reject dis=reject)") {
		t.Errorf("recorded: %s", r)
	}
	enforcing := "on_reject: reject, on_quarantine: quarantine"
	a := checking(t, z, next.addr, "inline", enforcing)
	reply, _ := forged(t, a, 550, "example.org")
	if !strings.Contains(reply, "5.7.1") || !strings.Contains(reply, "DMARC policy of example.org") {
		t.Errorf("the client is told %q", reply)
	}
	_, id := forged(t, a, 250, "soft.test")
	if it := held(t, a, id); it.State != queue.Incoming || it.Hold.By != "filter:dmarc" {
		t.Errorf("%v, %+v", it.State, it.Hold)
	}
}

func TestTroubleWithTheDNSIsRecordedOrDeferred(t *testing.T) {
	z := dnstest.Serve(t, "_dmarc.example.org. 60 IN TXT \"v=DMARC1; p=reject\"")
	z.Break("example.org")
	next := newSink(t)
	dial(t, checking(t, z, next.addr, "inline", "on_reject: reject").Addr("smtp").String()).send(250, "sender@example.org", "rcpt@example.net", scannertest.Ham())
	if r := results(t, content(t, next.wait(t).data)); !strings.Contains(r, "spf=temperror") || !strings.Contains(r, "dmarc=temperror") {
		t.Errorf("recorded: %s", r)
	}
	a := checking(t, z, next.addr, "inline", "on_temperror: defer")
	if reply, _ := dial(t, a.Addr("smtp").String()).send(451, "sender@example.org", "rcpt@example.net", scannertest.Ham()); !strings.Contains(reply, "4.4.3") {
		t.Errorf("the client is told %q", reply)
	}
}

func TestDeliveryReportsAreSigned(t *testing.T) {
	z := dnstest.Serve(t, "")
	next := newSink(t)
	dir := t.TempDir()
	a, _ := start(t, read(t, dir, fmt.Sprintf(`
listeners: {smtp: {address: "127.0.0.1:0"}}
api: {listen: ["127.0.0.1:0"]}
filters: {sign: {kind: dkim, dkim: {keys: [{domain: example.org, selector: s, file: %q, from: [mx.test]}]}}}
delivery: {report_signer: sign}
smarthost: "[127.0.0.1]:%s"
`, dkimKey(t, z, dir, "s", dkimkey.Ed25519), next.addr[len("127.0.0.1:"):])))
	next.refuseNext(&smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "gone"})
	dial(t, a.Addr("smtp").String()).send(250, "sender@example.org", "rcpt@example.net", scannertest.Ham())
	report := next.wait(t)
	if report.from != "" {
		t.Fatalf("want a report, got mail from %q", report.from)
	}
	dns := mxlookup.New(mxlookup.Options{Servers: []string{z.Addr}})
	list, err := dkim.VerifyWithOptions(bytes.NewReader(report.data), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		return dns.LookupTXT(t.Context(), name)
	}})
	if err != nil || len(list) != 1 || list[0].Err != nil || list[0].Domain != "example.org" {
		t.Errorf("got %+v, %v from %s", list, err, report.data)
	}
}

// signedWith is the selector of the signature on a message that a client sends.
func signedWith(t *testing.T, a *app.App, next *sink) string {
	t.Helper()
	dial(t, a.Addr("smtp").String()).send(250, "sender@example.org", "rcpt@example.net", scannertest.Ham())
	m := regexp.MustCompile(`(?s)^DKIM-Signature:.*?[; \t]s=([^;]*);`).FindStringSubmatch(content(t, next.wait(t).data))
	if m == nil {
		return ""
	}
	return m[1]
}

func TestKeysAreChangedByAReload(t *testing.T) {
	z := dnstest.Serve(t, policies)
	next := newSink(t)
	dir := t.TempDir()
	file := map[string]string{"one": dkimKey(t, z, dir, "one", dkimkey.Ed25519), "two": dkimKey(t, z, dir, "two", dkimkey.Ed25519)}
	cfg := func(filters string) *config.Config {
		return read(t, dir, fmt.Sprintf(`
listeners: {smtp: {address: "127.0.0.1:0", chain: out}}
api: {listen: ["127.0.0.1:0"]}
%s
smarthost: "[127.0.0.1]:%s"
`, filters, next.addr[len("127.0.0.1:"):]))
	}
	with := func(selector string) *config.Config {
		return cfg(fmt.Sprintf("filters: {sign: {kind: dkim, dkim: {keys: [{domain: example.org, selector: %s, file: %q}]}}}\nchains: {out: {filters: [sign]}}\ndelivery: {report_signer: sign}", selector, file[selector]))
	}
	a, _ := start(t, with("one"))
	if got := signedWith(t, a, next); got != "one" {
		t.Errorf("signed with %q, want one", got)
	}
	if _, err := a.Reload(t.Context(), with("two")); err != nil {
		t.Fatal(err)
	}
	if got := signedWith(t, a, next); got != "two" {
		t.Errorf("after a reload: signed with %q, want two", got)
	}
	if _, err := a.Reload(t.Context(), cfg("filters: {p: {}}\nchains: {out: {filters: [p]}}")); err != nil {
		t.Errorf("the filter that signs is taken away: %v", err)
	}
}
