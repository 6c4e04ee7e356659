package app_test

import (
	"fmt"
	"strings"
	"testing"

	"mtad/internal/dkimkey"
	"mtad/internal/filter/scannertest"
	"mtad/internal/milter/miltertest"
	"mtad/internal/msgauth/dnstest"
)

// between is an mtad with milters between two others.
func between(t *testing.T, next string, milters ...string) (addr string) {
	t.Helper()
	var filters, names []string
	for i, m := range milters {
		name := fmt.Sprintf("m%d", i)
		names = append(names, name)
		filters = append(filters, fmt.Sprintf("%s: {kind: milter, address: %q}", name, m))
	}
	a, _ := start(t, read(t, t.TempDir(), fmt.Sprintf(`
listeners: {smtp: {address: "127.0.0.1:0", chain: all}}
api: {listen: []}
filters: {%s}
chains: {all: {filters: [%s]}}
smarthost: "[127.0.0.1]:%s"
`, strings.Join(filters, ", "), strings.Join(names, ", "), next[len("127.0.0.1:"):])))
	return a.Addr("smtp").String()
}

// editing is a milter that changes header fields that are not signed.
func editing(t *testing.T, edits ...miltertest.Packet) string {
	t.Helper()
	s := miltertest.Start(t, "unix")
	s.Answer = func(p miltertest.Packet) []miltertest.Packet {
		if p.Command != 'E' {
			return nil
		}
		return append(edits[:len(edits):len(edits)], miltertest.Packet{Command: 'c'})
	}
	return "unix:" + s.Address
}

// awkward has fields that a signature in simple canonicalization does not
// survive when anybody touches an octet.
const awkward = "Message-ID:<t1@example.org>\r\nDate:  Sun, 22 Nov 2026 02:00:00 +0000 \r\nFrom:\tSender <sender@example.org>\r\n" +
	"To: Recipient\r\n\t <rcpt@example.net>,\r\n  two@example.net\r\nX-Edit: old\r\nsubject:\r\n folded  and  spaced\t\r\nX-Edit: gone\r\nMIME-Version: 1.0\r\n" +
	"\r\nbody  with   spaces \r\n\r\n\r\n"

func threeEditors(t *testing.T) []string {
	edit := func(command byte, index uint32, name, value string) miltertest.Packet {
		return miltertest.Packet{Command: command, Data: miltertest.Uint32(index) + miltertest.Strings(name, value)}
	}
	return []string{
		editing(t, miltertest.Packet{Command: 'h', Data: miltertest.Strings("X-Added", "at the end")}, edit('i', 0, "X-Top", "on top")),
		editing(t, edit('m', 1, "X-Edit", "new\n\tand folded")),
		editing(t, edit('m', 2, "X-Edit", ""), edit('i', 3, "X-Middle", "in between")),
	}
}

func TestSignaturesSurviveThreeFiltersThatEditOtherFields(t *testing.T) {
	for _, form := range []string{"relaxed/relaxed", "simple/simple"} {
		z := dnstest.Serve(t, policies)
		next := newSink(t)
		b := checking(t, z, next.addr, "inline", "")
		a := signing(t, z, between(t, b.Addr("smtp").String(), threeEditors(t)...), form)
		dial(t, a.Addr("smtp").String()).send(250, "bounce@example.org", "rcpt@example.net", awkward)
		got := content(t, next.wait(t).data)
		if r := results(t, got); strings.Count(r, "dkim=pass") != 2 || !strings.Contains(r, "dmarc=pass") {
			t.Errorf("%s: %s", form, r)
		}
		for _, want := range []string{"X-Top: on top\r\n", "X-Middle: in between\r\n", "X-Edit: new\r\n\tand folded\r\n", "X-Added: at the end\r\n"} {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q", form, want)
			}
		}
		if strings.Contains(got, "gone") {
			t.Errorf("%s: a field is still there", form)
		}
	}
}

// startOpendkim starts opendkim as a milter.
func startOpendkim(t *testing.T, config string) string {
	t.Helper()
	scannertest.Need(t, "opendkim")
	dir, addr := scannertest.Dir(t), scannertest.FreeAddr(t)
	config += "\nBackground no\nSyslog no\nRequireSafeKeys no\nAlwaysAddARHeader yes\nPidFile " + dir + "/pid\n"
	if scannertest.Root() {
		config += "UserID opendkim\n"
		scannertest.Own(t, dir, "opendkim")
	}
	host, port, _ := strings.Cut(addr, ":")
	p := scannertest.Start(t, addr, "opendkim", "-x", scannertest.Write(t, dir, "opendkim.conf", config), "-f", "-p", "inet:"+port+"@"+host)
	t.Cleanup(p.Kill) // by itself it takes seconds
	return "inet:" + addr
}

func TestOpendkimVerifiesWhatMtadSigns(t *testing.T) {
	for _, form := range []string{"relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple"} {
		z := dnstest.Serve(t, policies)
		dir := scannertest.Dir(t)
		file := dkimKey(t, z, t.TempDir(), "rsa", dkimkey.RSA)
		key, err := dkimkey.Read(file)
		if err != nil {
			t.Fatal(err)
		}
		record, err := dkimkey.Record(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		keys := scannertest.Write(t, dir, "keys", "rsa._domainkey.example.org "+record+"\n")
		verifier := startOpendkim(t, "Mode v\nInternalHosts 192.0.2.1\nTestPublicKeys "+keys)
		next := newSink(t)
		a, _ := start(t, read(t, t.TempDir(), fmt.Sprintf(`
listeners: {smtp: {address: "127.0.0.1:0", chain: out}}
api: {listen: []}
filters: {sign: {kind: dkim, dkim: {canonicalization: %s, keys: [{domain: example.org, selector: rsa, file: %q}]}}}
chains: {out: {filters: [sign]}}
smarthost: "[127.0.0.1]:%s"
`, form, file, between(t, next.addr, append(threeEditors(t), verifier)...)[len("127.0.0.1:"):])))
		dial(t, a.Addr("smtp").String()).send(250, "bounce@example.org", "rcpt@example.net", awkward)
		if got := content(t, next.wait(t).data); !strings.Contains(got, "dkim=pass") || !strings.Contains(got, "header.d=example.org") {
			t.Errorf("%s: %s", form, got)
		}
	}
}

func TestMtadVerifiesWhatOpendkimSigns(t *testing.T) {
	for _, form := range []string{"relaxed/relaxed", "simple/simple"} {
		z := dnstest.Serve(t, policies)
		dir := scannertest.Dir(t)
		file := dkimKey(t, z, dir, "sel", dkimkey.RSA)
		signer := startOpendkim(t, "Mode s\nDomain example.org\nSelector sel\nKeyFile "+owned(t, file)+"\nCanonicalization "+form+"\nInternalHosts 127.0.0.1")
		next := newSink(t)
		b := checking(t, z, next.addr, "inline", "")
		x := dial(t, between(t, b.Addr("smtp").String(), append([]string{signer}, threeEditors(t)...)...))
		x.send(250, "bounce@example.org", "rcpt@example.net", awkward)
		if r := results(t, content(t, next.wait(t).data)); strings.Count(r, "dkim=pass") != 1 || !strings.Contains(r, "header.s=sel") {
			t.Errorf("%s: %s", form, r)
		}
	}
}

func owned(t *testing.T, file string) string {
	t.Helper()
	if scannertest.Root() {
		scannertest.Own(t, file, "opendkim")
	}
	return file
}

func TestWhatWasReceivedIsCheckedWhateverFiltersDidBefore(t *testing.T) {
	z := dnstest.Serve(t, policies)
	next := newSink(t)
	spoiling := editing(t, miltertest.Packet{Command: 'm', Data: miltertest.Uint32(1) + miltertest.Strings("Subject", "[changed]")},
		miltertest.Packet{Command: 'b', Data: "another body\r\n"})
	b, _ := start(t, read(t, t.TempDir(), fmt.Sprintf(`
listeners: {smtp: {address: "127.0.0.1:0", chain: in}}
api: {listen: []}
mynetworks: [192.0.2.200]
relay_domains: [example.net]
filters: {spoil: {kind: milter, address: %q}, dmarc: {kind: dmarc}}
chains: {in: {filters: [spoil, dmarc]}}
delivery: {dns_servers: [%q]}
smarthost: "[127.0.0.1]:%s"
`, spoiling, z.Addr, next.addr[len("127.0.0.1:"):])))
	a := signing(t, z, b.Addr("smtp").String(), "simple/simple")
	dial(t, a.Addr("smtp").String()).send(250, "bounce@example.org", "rcpt@example.net", scannertest.Ham())
	got := content(t, next.wait(t).data)
	if r := results(t, got); strings.Count(r, "dkim=pass") != 2 {
		t.Errorf("got %s", r)
	}
	if !strings.Contains(got, "Subject: [changed]\r\n") || !strings.HasSuffix(got, "\r\n\r\nanother body\r\n") {
		t.Errorf("the milter's edits are lost: %q", got)
	}
}
