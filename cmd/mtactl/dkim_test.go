package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mtad/internal/dkimkey"
	"mtad/internal/msgauth/dnstest"
)

// command runs mtactl in this process.
func command(t *testing.T, args ...string) (status int, out, words string) {
	t.Helper()
	var o, e bytes.Buffer
	x := &tool{in: strings.NewReader(""), out: &o, err: &e, getenv: func(string) string { return "" }, args: args}
	status = x.run(t.Context())
	return status, o.String(), e.String()
}

func TestKeygenWritesAKeyOnceForItsOwnerAlone(t *testing.T) {
	for _, kind := range []string{"rsa", "ed25519"} {
		file := filepath.Join(t.TempDir(), "key.pem")
		status, out, words := command(t, "dkim", "keygen", "--type", kind, "--file", file, "Example.ORG", "s1")
		if status != 0 {
			t.Fatalf("%s: %d %s", kind, status, words)
		}
		fi, err := os.Stat(file)
		if err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", kind, fi.Mode(), err)
		}
		before, _ := os.ReadFile(file)
		if status, _, words = command(t, "dkim", "keygen", "--file", file, "example.org", "s1"); status != exitFailure || !strings.Contains(words, "there already") {
			t.Errorf("%s: a second time: %d %s", kind, status, words)
		}
		if after, _ := os.ReadFile(file); !bytes.Equal(before, after) {
			t.Errorf("%s: the key was written over", kind)
		}
		if !strings.Contains(out, "{domain: example.org, selector: s1, file: \""+file+"\"}") {
			t.Errorf("%s: no configuration in %s", kind, out)
		}
		zone := regexp.MustCompile(`(?s)s1\._domainkey\.example\.org\. IN TXT \(.*?\)\n`).FindString(out)
		rr, err := dns.NewRR(zone)
		if err != nil {
			t.Fatalf("%s: %v in %q", kind, err, zone)
		}
		for _, s := range rr.(*dns.TXT).Txt {
			if len(s) > 255 {
				t.Errorf("%s: a string of %d octets", kind, len(s))
			}
		}
		key, err := dkimkey.Read(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := dkimkey.Fits(strings.Join(rr.(*dns.TXT).Txt, ""), key.Public()); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestKeygenRefusesOddNamesAndSizes(t *testing.T) {
	for _, args := range [][]string{
		{"example.org"}, {"a/b", "s"}, {"../x", "s"}, {"example.org", "s/x"}, {"example.org", ""}, {"", "s"}, {"ex ample.org", "s"},
		{"example.org", "s\ninclude"}, {"--bits", "1024", "example.org", "s"}, {"--type", "dsa", "example.org", "s"}, {"bücher.example", "s"},
	} {
		t.Chdir(t.TempDir())
		if status, out, _ := command(t, append([]string{"dkim", "keygen"}, args...)...); status != exitUsage || out != "" {
			t.Errorf("%q: %d %s", args, status, out)
		}
		if left, _ := os.ReadDir("."); len(left) != 0 {
			t.Errorf("%q: %v", args, left)
		}
	}
}

func TestCheckComparesWhatIsPublishedWithAKey(t *testing.T) {
	z := dnstest.Serve(t, "")
	z.Break("broken._domainkey.example.org")
	dir := t.TempDir()
	key := func(selector string) string {
		file := filepath.Join(dir, selector)
		status, out, words := command(t, "dkim", "keygen", "-o", "json", "--file", file, "example.org", selector)
		var k keyText
		if err := json.Unmarshal([]byte(out), &k); status != 0 || err != nil {
			t.Fatal(status, words, err)
		}
		z.Text(k.Name, k.Record)
		return file
	}
	one, two := key("one"), key("two")
	z.Text("twice._domainkey.example.org", "v=DKIM1; p=x")
	z.Text("twice._domainkey.example.org", "v=DKIM1; p=y")
	z.Text("revoked._domainkey.example.org", "v=DKIM1; p=")
	z.Text("sha1._domainkey.example.org", "v=DKIM1; h=sha1; p=eA==")
	z.Text("junk._domainkey.example.org", "v=DKIM1; p=eA==")
	z.Text("short._domainkey.example.org", "k=ed25519; p=eA==")
	for _, tt := range []struct {
		selector, file string
		status         int
		text           string
	}{
		{"one", one, exitOK, "one._domainkey.example.org: good"},
		{"one", "", exitOK, "good"},
		{"one", two, exitFailure, "another key"},
		{"none", "", exitNoMatch, "no TXT record"},
		{"broken", "", exitTemporary, "no answer"},
		{"twice", "", exitFailure, "2 TXT records"},
		{"revoked", "", exitFailure, "no key"},
		{"sha1", "", exitFailure, "SHA-256"},
		{"junk", "", exitFailure, "cannot be read"},
		{"short", "", exitFailure, "1 octets"},
		{"one", filepath.Join(dir, "missing"), exitFailure, "no such file"},
	} {
		args := []string{"dkim", "check", "--dns-server", z.Addr, "example.org", tt.selector}
		if tt.file != "" {
			args = append(args, "--file", tt.file)
		}
		if status, out, words := command(t, args...); status != tt.status || !strings.Contains(out+words, tt.text) {
			t.Errorf("%s %s: got %d %s%s, want %d %q", tt.selector, tt.file, status, out, words, tt.status, tt.text)
		}
	}
}
