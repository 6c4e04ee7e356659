package config

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mtad/internal/dkimkey"
)

var (
	fencedYAML = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")
	fileKey    = regexp.MustCompile(`\b(key|certificate|file|\w+_file|certificate_authorities|certificate_logins): ["']?([^\s,}"']+)`)
)

// documented are the configurations of the documents: what is fenced as yaml
// there is one that 'mtad check' finds good, alone, and so is what is shipped.
func documented(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"../../README.md", "../../docs/*.md", "../../spec/*.md", "../../deploy/*.yaml", "../../deploy/*/mtad.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, files, err)
		}
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Ext(name) == ".yaml" {
				all[name] = string(b)
				continue
			}
			for _, m := range fencedYAML.FindAllSubmatchIndex(b, -1) {
				all[fmt.Sprintf("%s:%d", name, 1+bytes.Count(b[:m[2]], []byte("\n")))] = string(b[m[2]:m[3]])
			}
		}
	}
	return all
}

func TestConfigurationsInDocumentsAreGood(t *testing.T) {
	all := documented(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		dir := t.TempDir()
		path := filepath.Join(dir, "mtad.yaml")
		if err := os.WriteFile(path, []byte(withFiles(t, dir, all[name])), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); err != nil {
			t.Errorf("%s: %v", strings.TrimPrefix(name, "../../"), err)
		}
	}
	if len(all) < 20 {
		t.Errorf("%d configurations", len(all))
	}
}

// withFiles makes what a configuration names as a file, of the kind it has to be.
func withFiles(t *testing.T, dir, text string) string {
	t.Helper()
	certificate, key := filepath.Join(dir, "certificate"), filepath.Join(dir, "key")
	writePair(t, certificate, key)
	signer := filepath.Join(dir, "dkim")
	if err := dkimkey.Write(signer, ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return fileKey.ReplaceAllStringFunc(text, func(s string) string {
		m := fileKey.FindStringSubmatch(s)
		made, ok := map[string]string{"key": key, "certificate": certificate, "certificate_authorities": certificate, "ca_file": certificate, "file": signer}[m[1]]
		if !ok {
			made = secret
		}
		return strings.Replace(s, m[2], made, 1)
	})
}
