package lint

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// layers maps a package (or a prefix ending in "/...") to the mtad packages it
// may import. A package that is not listed fails: a new one has to find its
// place. Reasons are in CONTRIBUTING.md, "Where things live".
var layers = []struct {
	pkg   string
	allow []string
	why   string
}{
	{"mtad/queue", nil, "the vocabulary is a leaf: standard library only"},
	{"mtad/filterproto", nil, "scanner authors import it: standard library only"},
	{"mtad/filterproto/...", []string{"mtad/filterproto"}, "examples use what a scanner author has"},
	{"mtad/internal/smtp", nil, "grammar is a leaf: standard library only"},
	{"mtad/api/...", []string{"mtad/filterproto", "mtad/api/..."}, "the contract knows no implementation"},
	{"mtad/queue/engine", []string{"mtad/queue"}, "the rules know storage only through engine.Log"},
	{"mtad/queue/locallog", []string{"mtad/queue", "mtad/queue/engine"}, "a log holds bytes"},
	{"mtad/queue/queuetest", []string{"mtad/queue"}, "the suite knows no implementation"},
	{"mtad/internal/smtpclient", []string{"mtad/internal/smtp"}, "a wire protocol: no queue, no config"},
	{"mtad/internal/mxlookup", []string{"mtad/internal/smtp"}, "a wire protocol: no queue, no config"},
	{"mtad/internal/route", []string{"mtad/internal/smtp"}, "tables: no queue, no DNS"},
	{"mtad/internal/submission", []string{"mtad/internal/smtp"}, "a format: no queue, no config"},
	{"mtad/internal/tokens", nil, "a file of tokens: it knows nothing of what they open"},
	{"mtad/internal/compose", []string{"mtad/internal/submission", "mtad/internal/route"}, "makes messages: no queue, no config"},
	{"mtad/internal/admission", []string{"mtad/queue", "mtad/filterproto", "mtad/internal/smtp", "mtad/internal/submission", "mtad/internal/route", "mtad/internal/intake", "mtad/internal/msa"}, "one door for what does not come by SMTP; edges use it"},
	{"mtad/internal/maildrop", nil, "files for writers: it starts fast and knows no format"},
	{"mtad/internal/pickup", []string{"mtad/queue", "mtad/filterproto", "mtad/internal/smtp", "mtad/internal/submission", "mtad/internal/intake", "mtad/internal/admission", "mtad/internal/maildrop"}, "an edge: siblings do not know each other"},
	{"mtad/internal/auth", []string{"mtad/internal/smtp"}, "a wire protocol: no queue, no config"},
	{"mtad/internal/sqldb", nil, "drivers of databases: knows no question"},
	{"mtad/internal/sqldb/dbtest", []string{"mtad/internal/sqldb"}, "starts databases for tests"},
	{"mtad/internal/msa", []string{"mtad/internal/smtp"}, "what an MSA does with a message: no queue, no config"},
	{"mtad/internal/certs", nil, "certificates: no queue, no config"},
	{"mtad/internal/dsn", []string{"mtad/queue", "mtad/internal/smtp"}, "work on queue.Queue, never on the engine"},
	{"mtad/internal/events", []string{"mtad/queue"}, "work on queue.Queue, never on the engine"},
	{"mtad/internal/events/eventstest", []string{"mtad/queue"}, "plays events to tests"},
	{"mtad/internal/webhook", []string{"mtad/internal/events"}, "tells what events hands it"},
	{"mtad/internal/intake", []string{"mtad/queue", "mtad/internal/smtp"}, "work on queue.Queue, never on the engine"},
	{"mtad/internal/filter", []string{"mtad/queue", "mtad/filterproto", "mtad/internal/smtp"}, "work on queue.Queue, never on the engine"},
	{"mtad/internal/msgauth", nil, "who a message is from, by the DNS: no queue, no config"},
	{"mtad/internal/msgauth/dnstest", nil, "a DNS server for tests"},
	{"mtad/internal/dkimkey", nil, "key files and DNS records: a leaf"},
	{"mtad/internal/filter/dmarcfilter", []string{"mtad/queue", "mtad/filterproto", "mtad/internal/filter", "mtad/internal/msgauth"}, "a kind of filter: siblings do not know each other"},
	{"mtad/internal/filter/signfilter", []string{"mtad/queue", "mtad/filterproto", "mtad/internal/filter", "mtad/internal/msgauth"}, "a kind of filter: siblings do not know each other"},
	{"mtad/internal/filter/scannertest", []string{"mtad/queue", "mtad/filterproto", "mtad/internal/filter", "mtad/queue/queuetest"}, "starts programs for tests of kinds"},
	{"mtad/internal/filter/milterfilter", []string{"mtad/queue", "mtad/filterproto", "mtad/internal/smtp", "mtad/internal/filter", "mtad/internal/milter"}, "a kind of filter: siblings do not know each other"},
	{"mtad/internal/filter/execfilter", []string{"mtad/queue", "mtad/filterproto", "mtad/internal/filter"}, "a kind of filter: siblings do not know each other"},
	{"mtad/internal/filter/smtpfilter", []string{"mtad/queue", "mtad/filterproto", "mtad/internal/smtp", "mtad/internal/filter", "mtad/internal/smtpclient"}, "a kind of filter: siblings do not know each other"},
	{"mtad/internal/milter", []string{"mtad/internal/smtp"}, "a wire protocol: no queue, no config"},
	{"mtad/internal/milter/miltertest", nil, "the other side shares no code with the client"},
	{"mtad/internal/filter/...", []string{"mtad/queue", "mtad/filterproto", "mtad/internal/smtp", "mtad/internal/filter", "mtad/internal/filter/scanner", "mtad/internal/filter/hookclient"}, "kinds are known to the engine by its interface"},
	{"mtad/internal/deliver", []string{"mtad/queue", "mtad/internal/smtp", "mtad/internal/smtpclient", "mtad/internal/mxlookup", "mtad/internal/route"}, "work on queue.Queue, never on the engine"},
	{"mtad/internal/smtpd", []string{"mtad/queue", "mtad/internal/smtp", "mtad/internal/intake", "mtad/internal/route"}, "an edge: siblings do not know each other"},
	{"mtad/internal/httpapi", []string{"mtad/queue", "mtad/filterproto", "mtad/api/...", "mtad/internal/smtp", "mtad/internal/intake", "mtad/internal/filter", "mtad/internal/submission", "mtad/internal/admission", "mtad/internal/compose", "mtad/internal/tokens", "mtad/internal/route", "mtad/internal/events", "mtad/internal/webhook"}, "an edge: siblings do not know each other"},
	{"mtad/internal/qmgr", []string{"mtad/queue", "mtad/internal/smtp", "mtad/internal/deliver", "mtad/internal/dsn"}, "an edge: siblings do not know each other"},
	{"mtad/internal/config", []string{"mtad/internal/dkimkey"}, "keys and bounds; app maps them to Options"},
	{"mtad/internal/telemetry", nil, "logs and metrics; app wires them"},
	{"mtad/internal/lint", nil, "tests about the source"},
	{"mtad/internal/app", []string{"mtad/..."}, "wiring knows everything"},
	{"mtad/cmd/mtad", []string{"mtad/internal/app", "mtad/internal/auth", "mtad/internal/config", "mtad/internal/app/..."}, "main is thin"},
	{"mtad/internal/app/...", []string{"mtad/..."}, "wiring knows everything"},
	{"mtad/cmd/mtactl", []string{"mtad/api/...", "mtad/filterproto", "mtad/internal/smtp", "mtad/internal/submission", "mtad/internal/dkimkey", "mtad/cmd/mtactl/internal/mailscanner", "mtad/cmd/mtactl/internal/sendmail", "mtad/internal/maildrop"}, "the CLI has only what any API client has"},
	{"mtad/cmd/mtactl/internal/sendmail", []string{"mtad/internal/smtp", "mtad/internal/submission"}, "a command line and a message: it hands nothing in"},
	{"mtad/cmd/mtactl/internal/mailscanner", []string{"mtad/filterproto"}, "a bridge is a scanner like others: the filter API and nothing else"},
	{"mtad/bench", []string{"mtad/bench/rig"}, "the benchmark starts binaries"},
	{"mtad/bench/...", []string{"mtad/bench/rig", "mtad/queue", "mtad/queue/engine", "mtad/queue/locallog", "mtad/filterproto"}, "measurements start binaries, scan, and load the queue"},
}

// leaves may use nothing outside the standard library.
var leaves = map[string]bool{"mtad/queue": true, "mtad/filterproto": true, "mtad/internal/smtp": true}

func TestImportsPointDownward(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "mtad/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		checkImports(t, p.ImportPath, p.Imports)
	}
}

func checkImports(t *testing.T, pkg string, imports []string) {
	t.Helper()
	for _, l := range layers {
		if !matches(l.pkg, pkg) {
			continue
		}
		for _, imp := range imports {
			switch {
			case strings.HasPrefix(imp, "mtad/"):
				if !matchesAny(l.allow, imp) {
					t.Errorf("%s imports %s: %s", pkg, imp, l.why)
				}
			case leaves[pkg] && strings.Contains(imp, "."):
				t.Errorf("%s imports %s: %s", pkg, imp, l.why)
			}
		}
		return
	}
	t.Errorf("%s has no place in the layers: add it to the table", pkg)
}

func matchesAny(patterns []string, pkg string) bool {
	for _, p := range patterns {
		if matches(p, pkg) {
			return true
		}
	}
	return false
}

func matches(pattern, pkg string) bool {
	prefix, tree := strings.CutSuffix(pattern, "/...")
	return pkg == prefix || tree && strings.HasPrefix(pkg, prefix+"/")
}
