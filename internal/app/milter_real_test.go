package app_test

import (
	"fmt"
	"strings"
	"testing"

	"mtad/internal/filter/scannertest"
)

// The whole way, with rspamd's milter: spam is refused at the dot, and after
// acceptance comes back as a report; other mail arrives.
func TestRealMilterRefusesSpamAtTheDotAndAfterwards(t *testing.T) {
	scannertest.Need(t, "rspamd")
	rspamd := scannertest.StartRspamd(t, "")
	config := func(next, timing string) string {
		return fmt.Sprintf(`
listeners: {smtp: {address: "127.0.0.1:0", chain: scan}}
api: {listen: []}
filters: {r: {kind: milter, address: "inet:%s", retry_delay: 1s, milter: {in_session: true}}}
chains: {scan: {filters: [r], timing: %s, wait: 1m}}
smarthost: "[127.0.0.1]:%s"
`, rspamd.Milter, timing, next[len("127.0.0.1:"):])
	}
	for _, timing := range []string{"inline", "after"} {
		t.Run(timing, func(t *testing.T) {
			next := newSink(t)
			a, _ := start(t, read(t, t.TempDir(), config(next.addr, timing)))
			x := dial(t, a.Addr("smtp").String())
			x.send(250, "a@example.org", "b@example.net", scannertest.Ham())
			if got := content(t, next.wait(t).data); !strings.Contains(got, "an ordinary message\r\n") {
				t.Errorf("got %q", got)
			}
			if timing == "inline" {
				if reply, _ := x.send(554, "a@example.org", "b@example.net", scannertest.Spam()); !strings.Contains(reply, "Gtube pattern") {
					t.Errorf("reply %q", reply)
				}
				return
			}
			x.send(250, "a@example.org", "b@example.net", scannertest.Spam())
			if report := next.wait(t); report.from != "" || fmt.Sprint(report.to) != "[a@example.org]" || !strings.Contains(string(report.data), "554 5.7.1 Gtube pattern") {
				t.Errorf("report from %q to %v: %q", report.from, report.to, report.data)
			}
		})
	}
}
