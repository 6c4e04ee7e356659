package milterfilter

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"

	"mtad/internal/filter/scannertest"
	"mtad/internal/milter/miltertest"
	"mtad/queue"
)

// keys are a DKIM key of example.org, private and as TestPublicKeys has it.
func keys(t *testing.T, dir string) (private, public string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	private = scannertest.Write(t, dir, "sel.private", string(text))
	public = scannertest.Write(t, dir, "keys", "sel._domainkey.example.org v=DKIM1; k=rsa; p="+base64.StdEncoding.EncodeToString(der)+"\n")
	return private, public
}

func startOpendkim(t *testing.T, config string) string {
	t.Helper()
	scannertest.Need(t, "opendkim")
	dir, addr := scannertest.Dir(t), scannertest.FreeAddr(t)
	config += "\nBackground no\nSyslog no\nRequireSafeKeys no\nAlwaysAddARHeader yes\nPidFile " + dir + "/pid\n"
	if scannertest.Root() {
		config += "UserID opendkim\n"
		scannertest.Own(t, dir, "opendkim")
	}
	run(t, addr, "opendkim", "-x", scannertest.Write(t, dir, "opendkim.conf", config), "-f", "-p", libmilter(addr))
	return "tcp:" + addr
}

// awkward has header fields that a signature in simple canonicalisation does not
// survive when anybody touches an octet.
const awkward = "Message-ID:<t1@example.org>\r\n" +
	"Date:  Sun, 22 Nov 2026 02:00:00 +0000 \r\n" +
	"From:\tSender <sender@example.org>\r\n" +
	"To: Recipient\r\n\t <rcpt@example.net>,\r\n  two@example.net\r\n" +
	"X-Edit: old\r\n" +
	"subject:\r\n folded  and  spaced\t\r\n" +
	"X-Edit: gone\r\n" +
	"MIME-Version: 1.0\r\n" +
	"\r\n" +
	"body  with   spaces \r\n\r\n\r\n"

func TestOpendkimSignatureVerifiesAfterThreeFiltersEditedOtherFields(t *testing.T) {
	for _, canon := range []string{"simple/simple", "relaxed/relaxed"} {
		t.Run(strings.ReplaceAll(canon, "/", " "), func(t *testing.T) {
			dir := scannertest.Dir(t)
			private, public := keys(t, dir)
			scannertest.Own(t, dir, "opendkim")
			signer := startOpendkim(t, "Mode s\nDomain example.org\nSelector sel\nKeyFile "+private+"\nCanonicalization "+canon+"\nInternalHosts 192.0.2.0/24")
			verifier := startOpendkim(t, "Mode v\nInternalHosts 127.0.0.1\nTestPublicKeys "+public)
			one, two, three := miltertest.Start(t, "tcp"), miltertest.Start(t, "unix"), miltertest.Start(t, "unix")
			one.Answer = atEnd('c', mod('h', "X-Added", "at the end"), indexed('i', 0, "X-Top", "on top"))
			two.Answer = atEnd('c', indexed('m', 1, "X-Edit", "new\n\tand folded"))
			three.Protocol = 1 << 20 // leading space
			three.Answer = atEnd('c', indexed('m', 2, "X-Edit", ""), indexed('i', 3, "X-Middle", " in between"))
			r := newRig(t, nil, signer, at(one), at(two), at(three), verifier)
			it := r.one(envelope(), awkward)
			got := r.content(it.ID)
			if !strings.Contains(got, "dkim=pass") || !strings.Contains(got, "header.d=example.org") {
				t.Errorf("the signature does not verify: %s", got)
			}
			rest := without(got, "DKIM-Signature", "Authentication-Results", "DKIM-Filter", "X-Added", "X-Top", "X-Middle", "X-Edit")
			if want := without(awkward, "X-Edit"); rest != want {
				t.Errorf("got %q, want %q", rest, want)
			}
			if !strings.HasPrefix(without(got, "Authentication-Results", "DKIM-Filter"), "X-Top: on top\r\n") || !strings.Contains(got, "X-Edit: new\r\n\tand folded\r\n") || strings.Contains(got, "gone") {
				t.Errorf("edits: %q", got)
			}
		})
	}
}

func TestOpendmarcAddsItsResults(t *testing.T) {
	scannertest.Need(t, "opendmarc")
	dir, addr := scannertest.Dir(t), scannertest.FreeAddr(t)
	text := "AuthservID mx.example.net\nBackground false\nSyslog false\nIgnoreHosts /dev/null\nPidFile " + dir + "/pid\n"
	if scannertest.Root() {
		text += "UserID opendmarc\n"
		scannertest.Own(t, dir, "opendmarc")
	}
	run(t, addr, "opendmarc", "-c", scannertest.Write(t, dir, "opendmarc.conf", text), "-f", "-p", libmilter(addr))
	r := newRig(t, nil, "tcp:"+addr)
	it := ham(t, r, "Authentication-Results", "DMARC-Filter")
	if it.State != queue.Incoming {
		t.Errorf("%v", it.State)
	}
}
