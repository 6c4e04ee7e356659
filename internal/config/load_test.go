package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestEmptyFileIsAWorkingLoopbackSystem(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "{}\n", "spool:\n"} {
		c, err := Parse("empty", []byte(text))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if l := c.Listeners["smtp"]; len(c.Listeners) != 1 || l.Address != "127.0.0.1:2525" || l.Kind != KindSMTP || l.Limits.MessageSize != 50<<20 {
			t.Errorf("%q: listeners %+v", text, c.Listeners)
		}
		if len(c.API.Listen) != 1 || c.API.Listen[0] != "127.0.0.1:8025" || !strings.HasSuffix(c.API.Unix, "/api.sock") {
			t.Errorf("%q: api %+v", text, c.API)
		}
		if fmt.Sprint(c.MyNetworks) != "[127.0.0.0/8 ::1/128]" || len(c.RelayDomains) != 0 || len(c.LocalDomains) == 0 {
			t.Errorf("%q: relay %v %v %v", text, c.MyNetworks, c.RelayDomains, c.LocalDomains)
		}
		if c.Delivery.Lifetime != 5*24*time.Hour || c.Queue.MaxClaims != 5 {
			t.Errorf("%q: %+v %+v", text, c.Delivery, c.Queue)
		}
	}
}

func TestFullFileIsRead(t *testing.T) {
	c, err := Load("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	mx := c.Listeners["mx"]
	if mx.Chain != "incoming" || mx.Limits.MessageSize != 20<<20 || mx.Limits.CommandTimeout != 90*time.Second || mx.Limits.Recipients != 1000 {
		t.Errorf("mx: %+v", mx)
	}
	if len(mx.ProxyProtocol) != 2 {
		t.Errorf("proxy_protocol: %v", mx.ProxyProtocol)
	}
	if len(c.Routes) != 2 || c.Routes[0].Transport != "smtp" || c.Routes[1].NextHop != "5.1.1 gone" {
		t.Errorf("routes: %+v", c.Routes)
	}
	if f := c.Filters["spam"]; f.OnFailure.Crash != "quarantine" || f.OnFailure.Timeout != "park" || f.Timeout != time.Hour {
		t.Errorf("filter: %+v", f)
	}
	if p := c.API.Peers[0]; *p.UID != 1000 || p.GID != nil || len(p.Scopes) != 2 {
		t.Errorf("peer: %+v", p)
	}
	if got := c.Position("listeners.mx.chain"); got != (Position{12, 5}) {
		t.Errorf("position of listeners.mx.chain: %v", got)
	}
}

func TestFaultsAreNamedWithPlaceAndHint(t *testing.T) {
	for _, tt := range []struct{ name, text, at, message, hint string }{
		{"unknown key", "hostnam: x.org\n", "1:1", `unknown key "hostnam"`, `did you mean "hostname"?`},
		{"unknown key below", "queue:\n  activ: 5\n", "2:3", `unknown key "activ" in "queue"`, `did you mean "active"?`},
		{"key of another section", "free_floor: 5\n", "1:1", `unknown key "free_floor"`, `there is "spool.free_floor"`},
		{"hyphen for underscore", "local-domains: []\n", "1:1", `unknown key`, `did you mean "local_domains"?`},
		{"key twice", "hostname: a.org\nhostname: b.org\n", "2:1", `given twice`, "line 1"},
		{"listener twice", "listeners:\n  a: {address: '127.0.0.1:1'}\n  a: {address: '127.0.0.1:2'}\n", "3:3", `given twice`, "line 2"},
		{"text for a number", "queue:\n  active: many\n", "2:11", "whole number", ""},
		{"quoted number", "queue:\n  active: \"5\"\n", "2:11", "whole number", ""},
		{"fraction", "queue:\n  active: 1.5\n", "2:11", "whole number", ""},
		{"number for a name", "hostname: 12\n", "1:11", "wants text", ""},
		{"yes", "allow_open_relay: yes\n", "1:19", "true or false", ""},
		{"no value", "hostname:\n", "1:1", "has no value", "default"},
		{"list for a value", "hostname: [a.org]\n", "1:11", "plain value", ""},
		{"value for a list", "relay_domains: a.org\n", "1:16", "wants a list", "[a.org]"},
		{"value for a section", "queue: 5\n", "1:8", "keys with values", ""},
		{"list for a section", "queue: [5]\n", "1:8", "keys with values", ""},
		{"section for sections", "routes: {match: a.org}\n", "1:9", "wants a list", "dash"},
		{"duration without unit", "queue:\n  lease: 300\n", "2:10", `"300" is not a duration`, "30s"},
		{"duration too short", "queue:\n  lease: 1s\n", "2:10", "too little", "at least 10s"},
		{"duration too long", "queue:\n  lease: 2h\n", "2:10", "too much", "at most 1h"},
		{"negative", "queue:\n  active: -1\n", "2:11", "too little", "at least 1"},
		{"number beyond 64 bits", "queue:\n  active: 99999999999999999999\n", "2:11", "whole number", ""},
		{"size with a wrong unit", "spool:\n  cache: 5X\n", "2:10", `"5X" is not a size`, "50M"},
		{"size beyond 63 bits", "spool:\n  cache: 9999999999T\n", "2:10", "not a size", ""},
		{"host bits", "mynetworks: [10.1.2.3/8]\n", "1:14", "bits set", "10.0.0.0/8"},
		{"no network", "mynetworks: [everybody]\n", "1:14", "not a network", "CIDR"},
		{"open relay", "mynetworks: [0.0.0.0/0]\n", "1:1", "strangers relay", "allow_open_relay"},
		{"open relay in halves", "mynetworks: [0.0.0.0/1, 128.0.0.0/1]\n", "1:1", "strangers relay", "allow_open_relay"},
		{"open relay by IPv6", "mynetworks: ['::/0']\n", "1:1", "strangers relay", "allow_open_relay"},
		{"xclient for all", "listeners:\n  a:\n    address: 127.0.0.1:1\n    xclient: [0.0.0.0/0]\n", "4:5", "strangers", ""},
		{"no domain", "relay_domains: [a..b]\n", "1:17", "not a domain", ""},
		{"wrong word", "delivery:\n  tls: require\n", "2:8", "not one of its words", `"required"`},
		{"unknown chain", "listeners:\n  a:\n    address: 127.0.0.1:1\n    chain: inn\nfilters: {f: {}}\nchains:\n  in: {filters: [f]}\n", "4:5", `no chain called "inn"`, `"in"`},
		{"unknown filter", "filters: {spam: {}}\nchains:\n  in: {filters: [spm]}\n", "3:18", `no filter called "spm"`, `"spam"`},
		{"circle", "filters: {f: {}, g: {}}\nchains:\n  in: {filters: [f, g, f]}\n", "3:24", "in a circle", ""},
		{"chain without filters", "chains:\n  in: {timing: after}\n", "2:7", `"filters" is missing`, ""},
		{"chain with none", "chains:\n  in: {filters: []}\n", "2:8", "without filters", ""},
		{"two listeners, one port", "listeners:\n  a: {address: '127.0.0.1:1'}\n  b: {address: '0.0.0.0:1'}\n", "3:7", "listens where", ""},
		{"listener and API", "listeners:\n  a: {address: '127.0.0.1:8025'}\n", "", "listens where", ""},
		{"listener nowhere", "listeners:\n  a: {kind: smtp}\n", "2:3", "0 places", "exactly one"},
		{"listener in two places", "listeners:\n  a: {address: '127.0.0.1:1', unix: /s}\n", "2:3", "2 places", "exactly one"},
		{"name for an address", "listeners:\n  a: {address: 'localhost:25'}\n", "2:16", "not an IP address", ""},
		{"submissions in the clear", "listeners:\n  a: {address: '127.0.0.1:1', kind: submissions}\n", "2:31", "without a certificate", ""},
		{"certificate without key", "tls: {certificate: /c.pem}\n", "1:1", "go together", ""},
		{"empty path", "spool: {directory: ''}\n", "1:20", "not a path", ""},
		{"short hash", "api: {tokens: {t: {sha256: abc, scopes: [submit]}}}\n", "1:28", "SHA-256", ""},
		{"unknown scope", "api: {peers: [{uid: 1, scopes: [submitt]}]}\n", "1:33", "not a scope", `"submit"`},
		{"scope of an unknown filter", "api: {peers: [{uid: 1, scopes: ['filter:x']}]}\n", "1:33", `no filter called "x"`, ""},
		{"peer of nobody", "api: {peers: [{scopes: [submit]}]}\n", "1:15", "either a uid or a gid", ""},
		{"plain API for the world", "api: {listen: ['0.0.0.0:8025']}\n", "1:16", "in the clear", "allow_plaintext"},
		{"two homes for a domain", "local_domains: [a.org]\nrelay_domains: [a.org]\n", "2:17", "in local_domains too", ""},
		{"two routes", "routes:\n- {match: a.org}\n- {match: A.org}\n", "3:4", "a second route", ""},
		{"back-off upside down", "delivery: {min_backoff: 2h, max_backoff: 1h}\n", "1:29", "less than min_backoff", ""},
		{"crash rule that never comes", "queue: {max_claims: 3}\nfilters: {f: {}}\n", "2:11", "before the rule on.crash", "less than"},
		{"anchor", "hostname: &h a.org\n", "1:11", "anchors", ""},
		{"alias", "hostname: *h\n", "1:11", "anchors", ""},
		{"merge", "<<: {hostname: a.org}\n", "1:1", "anchors", ""},
		{"tag", "hostname: !!str a.org\n", "1:11", "anchors", ""},
		{"second document", "hostname: a.org\n---\nhostname: b.org\n", "3:1", "second document", ""},
		{"not a mapping", "hello\n", "1:1", "the file wants keys", ""},
		{"broken YAML", "queue: [\n", "1:8", "", ""},
		{"tab", "queue:\n\tactive: 5\n", "2:1", "", "spaces"},
		{"bad name", "filters: {'a b': {}}\n", "1:11", "not a name", ""},
		{"long line", "hostname: " + strings.Repeat("x", MaxLine) + "\n", "1:1", "longer than", ""},
		{"deep brackets", strings.Repeat("[\n", 100), "33:1", "brackets in brackets", ""},
		{"deep lists", strings.Repeat("- ", 100), "1:1", "lists in lists", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("m.yaml", []byte(tt.text))
			ps, ok := errors.AsType[Problems](err)
			if !ok || len(ps) == 0 {
				t.Fatalf("got %v, want problems", err)
			}
			p := ps[0]
			at := fmt.Sprintf("%d:%d", p.Line, p.Column)
			if p.Line == 0 {
				at = ""
			}
			if at != tt.at || !strings.Contains(p.Message, tt.message) || !strings.Contains(p.Hint, tt.hint) {
				t.Errorf("got %s %q, hint %q; want %s %q, hint %q", at, p.Message, p.Hint, tt.at, tt.message, tt.hint)
			}
		})
	}
}

func TestPathsAreRelativeToTheFile(t *testing.T) {
	c, err := Parse("/etc/mtad/m.yaml", []byte("spool: {directory: ./spool}\napi: {unix: none}\nlocal: {maildir: /var/mail}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Spool.Directory != "/etc/mtad/spool" || c.API.Unix != "none" || c.Local.Maildir != "/var/mail" {
		t.Errorf("got %q, %q, %q", c.Spool.Directory, c.API.Unix, c.Local.Maildir)
	}
}

func TestAllFaultsAreFoundAtOnce(t *testing.T) {
	_, err := Parse("m.yaml", []byte("hostnam: a.org\nqueue:\n  active: many\n  lease: 5\nbogus: 1\n"))
	ps, _ := errors.AsType[Problems](err)
	if len(ps) != 4 {
		t.Errorf("got %d problems, want 4:\n%v", len(ps), err)
	}
	want := "m.yaml:1:1: unknown key \"hostnam\"\nm.yaml:3:11: "
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want it to begin with %q", err, want)
	}
}

func TestFileLargerThanItsBoundIsRefused(t *testing.T) {
	fits := strings.Repeat("# comment\n", MaxFile/10) + strings.Repeat("\n", MaxFile%10)
	if _, err := Parse("m", []byte(fits)); err != nil {
		t.Errorf("%d octets: %v", len(fits), err)
	}
	if _, err := Parse("m", []byte(fits+"\n")); err == nil {
		t.Errorf("%d octets were accepted", len(fits)+1)
	}
}

func TestSecretsThatOthersCanReadAreRefused(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	writePair(t, cert, key)
	file := filepath.Join(dir, "m.yaml")
	text := fmt.Sprintf("tls:\n  certificate: %s\n  key: %s\n", cert, key)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file); err != nil {
		t.Fatalf("with mode 0600: %v", err)
	}
	for _, tt := range []struct {
		path string
		mode os.FileMode
		want string
	}{
		{key, 0o604, "m.yaml:3:3: others may read the key"},
		{file, 0o602, "m.yaml: anybody may write"},
	} {
		if err := os.Chmod(tt.path, tt.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(file); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %q", err, tt.want)
		}
		if err := os.Chmod(tt.path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(cert, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file); err == nil || !strings.Contains(err.Error(), "m.yaml:2:3: certificate and key cannot be used") {
		t.Errorf("a broken certificate: %v", err)
	}
}
