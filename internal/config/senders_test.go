package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mtad/internal/dkimkey"
)

// dkimFile makes a key file.
func dkimFile(t *testing.T, mode os.FileMode) string {
	t.Helper()
	key, err := dkimkey.Generate(dkimkey.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := dkimkey.Write(path, key); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFiltersAboutSendersAreChecked(t *testing.T) {
	const key = "keys: [{domain: example.org, selector: s, file: /k}]"
	for text, want := range map[string]string{
		"filters: {f: {kind: dkim}}": "wants keys",
		"filters: {f: {kind: dkim, dkim: {keys: [{domain: example.org, selector: s}]}}}":                                                         "\"file\" is missing",
		"filters: {f: {kind: dkim, dkim: {keys: [{domain: example.org, selector: a/b, file: /k}]}}}":                                             "not a selector",
		"filters: {f: {kind: dkim, dkim: {keys: [{domain: \"a b\", selector: s, file: /k}]}}}":                                                   "domain",
		"filters: {f: {kind: dkim, dkim: {" + key + ", headers: [DKIM-Signature]}}}":                                                             "cannot be signed",
		"filters: {f: {kind: dkim, dkim: {" + key + ", oversign: [\"a b\"]}}}":                                                                   "not a header field name",
		"filters: {f: {kind: dkim, dkim: {" + key + ", headers: [" + strings.Repeat("Abcdefghij, ", 60) + "X]}}}":                                "octets",
		"filters: {f: {kind: dkim, dkim: {" + key + ", canonicalization: nowsp}}}":                                                               "not one of its words",
		"filters: {f: {kind: dkim, dkim: {" + key + ", networks: [0.0.0.0/0]}}}":                                                                 "strangers are signed",
		"filters: {f: {kind: dkim, address: \"127.0.0.1:1\", dkim: {" + key + "}}}":                                                              "has no address",
		"filters: {f: {kind: dmarc, dkim: {" + key + "}}}":                                                                                       "settings of kind dkim",
		"filters: {f: {kind: dmarc, dmarc: {trusted: [0.0.0.0/0]}}}":                                                                             "strangers say",
		"filters: {f: {kind: dmarc, dmarc: {on_reject: bounce}}}":                                                                                "not one of its words",
		"filters: {f: {kind: dmarc, dmarc: {lookup_time: 1m}}}":                                                                                  "not less than timeout",
		"filters: {f: {kind: dmarc, timeout: 10s}}":                                                                                              "not less than timeout",
		"filters: {f: {kind: dmarc, dmarc: {id: \"a b\"}}}":                                                                                      "domain",
		"delivery: {report_signer: f}":                                                                                                           "no filter of kind dkim",
		"delivery: {report_signer: f}\nfilters: {f: {kind: dmarc}}":                                                                              "no filter of kind dkim",
		"filters: {f: {kind: dkim, dkim: {keys: [{domain: example.org, selector: s, file: /k}, {domain: example.org, selector: S, file: /l}]}}}": "second key",
		"filters: {s: {kind: dkim, dkim: {" + key + "}}, a: {kind: dmarc}}\nchains: {c: {filters: [s, a]}}":                                      "which signs",
	} {
		_, err := Parse("x.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	c, err := Parse("x.yaml", []byte("filters: {s: {kind: dkim, dkim: {"+key+"}}, s2: {kind: dkim, dkim: {"+key+", oversign: [], expire: 7d}}, a: {kind: dmarc}, b: {kind: dmarc, concurrency: 3}}\nchains: {c: {filters: [a, s, s2]}}\ndelivery: {report_signer: s}"))
	if err != nil {
		t.Fatal(err)
	}
	d := c.Filters["s"].DKIM
	if got := fmt.Sprint(c.Filters["a"].Concurrency, c.Filters["b"].Concurrency, c.Filters["s"].Concurrency, d.Canonicalization, d.Headers[0], len(d.Oversign), len(c.Filters["s2"].DKIM.Oversign)); got != "100 3 10relaxed/relaxedFrom7 0" {
		t.Errorf("defaults: %s", got)
	}
}

func TestKeyFilesAreLookedAt(t *testing.T) {
	good, open := dkimFile(t, 0o600), dkimFile(t, 0o644)
	junk := filepath.Join(t.TempDir(), "junk")
	if err := os.WriteFile(junk, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{good: "", open: "others may read the key", junk: "not a PEM file", junk + "x": "no such file"} {
		path := filepath.Join(t.TempDir(), "mtad.yaml")
		text := fmt.Sprintf("spool: {directory: %s, allow_volatile: true}\nfilters: {f: {kind: dkim, dkim: {keys: [{domain: example.org, selector: s, file: %q}]}}}\n", t.TempDir(), file)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", file, err, want)
		}
	}
}
