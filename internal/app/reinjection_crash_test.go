package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"mtad/internal/filter/scannertest"
	"mtad/queue"
)

// mtad is killed while a content filter has a message, at each step of its way
// back. After the restart everybody has it once, unchanged or as it came back.
func TestKilledWhileAContentFilterHasAMessageNothingIsLostOrDoubled(t *testing.T) {
	for name, c := range map[string]struct {
		back  func(*testing.T, *handed)
		scans int
	}{
		"handed over": {func(*testing.T, *handed) {}, 2},
		"one part is back": {func(t *testing.T, h *handed) {
			isBack(t, h.back("X-Part: 1\r\n"+h.data, "<b@example.net>"), "250 2.0.0 kept")
		}, 2},
		"all is back": {func(t *testing.T, h *handed) { isBack(t, h.back(h.data), "250 2.0.0 taken as") }, 1},
		"all came in parts": {func(t *testing.T, h *handed) {
			isBack(t, h.back(h.data, "<b@example.net>"), "250 2.0.0 kept")
			isBack(t, h.back(h.data, "<c@example.net>"), "250 2.0.0 taken as")
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			reached, killed := make(chan *handed), make(chan struct{})
			p := newProxy(t, true, func(h *handed) string {
				c.back(t, h)
				reached <- h
				<-killed
				return "250 ok"
			}, func(h *handed) string {
				isBack(t, h.back(h.data), "250 2.0.0 taken as")
				return "250 ok"
			})
			dir, back := t.TempDir(), scannertest.FreeAddr(t)
			p.back.Store(back)
			text := fmt.Sprintf(`
listeners:
  back: {address: %q, kind: reinjection}
  smtp: {address: "127.0.0.1:0", chain: scan}
api: {listen: []}
filters:
  av: {kind: smtp, address: %q, retry_delay: 1s}
  words: {}
chains: {scan: {filters: [av, words]}}
hostname: mx.test
spool: {directory: %s/spool, allow_volatile: true, free_floor: 1M, ballast: 0}
`, back, p.ln.Addr(), dir)
			file := filepath.Join(dir, "mtad.yaml")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			first := spawn(t, file)
			_, id := dial(t, first.addr).sendTo(250, message, "b@example.net", "c@example.net")
			old := <-reached
			first.kill(t)
			close(killed)

			a, _ := startFile(t, file)
			items := filtered(t, a.Queue(), queue.ID(id))
			var rcpts []string
			for _, it := range items {
				for _, r := range it.Envelope.Recipients {
					rcpts = append(rcpts, r.Path+" "+r.Status.String())
				}
				if len(it.Generations) != 1 {
					t.Errorf("%s has %d generations, and nothing was changed for all", it.ID, len(it.Generations))
				}
			}
			slices.Sort(rcpts)
			if fmt.Sprint(rcpts) != "[b@example.net pending c@example.net pending]" || p.scans() != c.scans {
				t.Errorf("%v after %d scans", rcpts, p.scans())
			}
			// What the scan before the crash would still give back is not ours any more.
			isBack(t, old.back(old.data), "451 4.7.1")
		})
	}
}

// filtered waits until all parts of a message wait for the filter words.
func filtered(t *testing.T, q queue.Queue, id queue.ID) []queue.Item {
	t.Helper()
	s, err := q.Watch(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for {
		items, err := q.History(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(items, func(it queue.Item) bool { return it.Stage != "words" }) {
			return items
		}
		if _, err := s.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
