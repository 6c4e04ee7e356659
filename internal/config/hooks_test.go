package config

import (
	"os"
	"path/filepath"
	"testing"
)

func TestHookKindsAreRead(t *testing.T) {
	c, err := Parse("f", []byte("filters:\n  w: {kind: webhook, webhook: {url: 'http://[::1]:8080/a?b=c'}}\n"+
		"  u: {kind: webhook, address: 'unix:/run/h.sock', webhook: {url: 'http://policy/'}}\n"+
		"  h: {kind: mtahooks, mtahooks: {url: 'https://scanner.example.org/', auth: bearer, auth_file: /t, update: [/action, /message/headers]}}\n"+
		"  p: {kind: mtahooks, mtahooks: {url: 'http://10.0.0.1/', plaintext: true, setup: endpoint}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]Hook{
		"w": {URL: "http://[::1]:8080/a?b=c", Auth: AuthNone}, "u": {URL: "http://policy/", Auth: AuthNone},
		"h": {URL: "https://scanner.example.org/", Auth: AuthBearer, AuthFile: "/t"}, "p": {URL: "http://10.0.0.1/", Auth: AuthNone, Plaintext: true},
	} {
		if got, ok := c.Filters[name].Hook(); !ok || got != want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if c.Filters["h"].MTAHooks.Setup != SetupDiscovery || len(c.Filters["h"].MTAHooks.Update) != 2 || c.Filters["p"].MTAHooks.Setup != SetupEndpoint {
		t.Errorf("%+v", c.Filters["h"].MTAHooks)
	}
}

func TestHookKindsAreChecked(t *testing.T) {
	for name, text := range map[string]string{
		"no URL":                      "kind: webhook",
		"a URL that is none":          "kind: webhook, webhook: {url: 'handler.example.org'}",
		"another scheme":              "kind: webhook, webhook: {url: 'file:///etc/passwd'}",
		"a password in the URL":       "kind: webhook, webhook: {url: 'https://a:b@handler.example.org/'}",
		"a fragment":                  "kind: webhook, webhook: {url: 'https://handler.example.org/#a'}",
		"another host in clear text":  "kind: mtahooks, mtahooks: {url: 'http://handler.example.org/'}",
		"a network that is not here":  "kind: mtahooks, mtahooks: {url: 'http://127.0.0.1.example.org/'}",
		"auth without a file":         "kind: webhook, webhook: {url: 'https://h.example.org/', auth: bearer}",
		"a file without auth":         "kind: webhook, webhook: {url: 'https://h.example.org/', auth_file: /t}",
		"certificates without TLS":    "kind: webhook, webhook: {url: 'http://127.0.0.1/', ca_file: /t}",
		"settings of the other":       "kind: webhook, webhook: {url: 'https://h.example.org/'}, mtahooks: {setup: endpoint}",
		"an unknown setup":            "kind: mtahooks, mtahooks: {url: 'https://h.example.org/', setup: none}",
		"a pointer to something else": "kind: mtahooks, mtahooks: {url: 'https://h.example.org/', update: [/queue]}",
		"a pointer to a neighbour":    "kind: mtahooks, mtahooks: {url: 'https://h.example.org/', update: [/actions]}",
	} {
		if _, err := Parse("f", []byte("filters: {f: {"+text+"}}\n")); err == nil {
			t.Errorf("%s: nothing is said", name)
		}
	}
}

func TestFilesOfHookKindsAreLookedAt(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("x\n"), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, open := write("good", 0o600), write("open", 0o644)
	for text, want := range map[string]bool{
		"auth: bearer, auth_file: " + good:                      true,
		"auth: bearer, auth_file: " + open:                      false,
		"auth: basic, auth_file: " + filepath.Join(dir, "none"): false,
		"sign_file: " + good:                                    true,
		"sign_file: " + open:                                    false,
		"ca_file: " + good:                                      false,
		"ca_file: " + filepath.Join(dir, "none"):                false,
	} {
		path := write("mtad.yaml", 0o600)
		if err := os.WriteFile(path, []byte("filters: {f: {kind: webhook, webhook: {url: 'https://h.example.org/', "+text+"}}}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); (err == nil) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}
