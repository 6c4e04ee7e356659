package config

import (
	"strings"
	"testing"
)

func TestScannersOfAFileAreRead(t *testing.T) {
	c, err := Parse("f", []byte("filters:\n  v: {kind: clamd, address: 'unix:/run/clamd', clamd: {virus: quarantine, scanned_field: none}}\n"+
		"  s: {kind: spamd, address: '127.0.0.1:783', spamd: {reject_at: 15, quarantine_at: -1.5}}\n  r: {kind: rspamd, address: 'localhost:11333'}\n"))
	if err != nil {
		t.Fatal(err)
	}
	v, s, r := c.Filters["v"], c.Filters["s"], c.Filters["r"]
	if v.Clamd.Virus != PolicyQuarantine || v.Clamd.ScannedField != "" || v.Clamd.StatusField != "X-Virus-Status" || v.Timeout != 0 {
		t.Errorf("%+v", v)
	}
	if *s.Spamd.RejectAt != 15 || *s.Spamd.QuarantineAt != -1.5 || s.Spamd.DiscardAt != nil || s.Spamd.Method != SpamdSymbols {
		t.Errorf("%+v", s.Spamd)
	}
	if r.Rspamd.Reject != PolicyReject || r.Rspamd.SpamField != "X-Spam" || r.Concurrency != 10 {
		t.Errorf("%+v", r)
	}
}

func TestScannersThatDoNotFitAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		"{kind: clamd}":                                                "wants an address",
		"{address: '127.0.0.1:1'}":                                     "has no address",
		"{kind: clamd, address: localhost}":                            "not where a scanner can listen",
		"{kind: clamd, address: 'unix:run/x'}":                         "not where a scanner can listen",
		"{kind: clamd, address: 'a:0'}":                                "not where a scanner can listen",
		"{kind: clamd, address: 'a:1', spamd: {user: x}}":              "settings of kind spamd",
		"{kind: clamd, address: 'a:1', clamd: {transfer: descriptor}}": "unix socket only",
		"{kind: spamd, address: 'a:1', spamd: {reject_at: high}}":      "number",
		"{kind: spamd, address: 'a:1', spamd: {reject_at: .nan}}":      "number",
		"{kind: clamd, address: 'a:1', clamd: {status_field: 'a b'}}":  "not a header field name",
	} {
		_, err := Parse("f", []byte("filters:\n  f: "+text+"\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
