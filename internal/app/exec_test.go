package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mtad/queue"
)

// execConfig has the program body in chain scan.
func execConfig(t *testing.T, next, timing, body, more string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body), 0o755); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`
listeners:
  smtp: {address: "127.0.0.1:0", chain: scan}
api: {listen: []}
filters:
  words: {kind: exec, exec: {command: [%q, one argument], allow_root: true, %s}}
chains: {scan: {filters: [words], timing: %s, wait: 1m}}
smarthost: "[127.0.0.1]:%s"
`, path, more, timing, next[len("127.0.0.1:"):])
}

func TestProgramRejectsInTheDialogue(t *testing.T) {
	next := newSink(t)
	a, _ := start(t, read(t, t.TempDir(), execConfig(t, next.addr, "inline", `grep -q "^Subject" || exit 75; [ "$1" = "one argument" ] && exit 3`, "exit: [3=reject]")))
	dial(t, a.Addr("smtp").String()).send(550, "a@example.org", "b@example.net", message)
	tally, err := a.Queue().Count(t.Context(), queue.Filter{})
	if err != nil || tally.Messages != 0 {
		t.Errorf("%d messages are in the queue, %v; want none", tally.Messages, err)
	}
}

func TestProgramRejectsAfterTheQueue(t *testing.T) {
	next := newSink(t)
	a, _ := start(t, read(t, t.TempDir(), execConfig(t, next.addr, "after", "cat >/dev/null; echo no such words >&2; exit 69", "")))
	_, id := dial(t, a.Addr("smtp").String()).send(250, "a@example.org", "b@example.net", message)
	if got := next.wait(t); got.from != "" || fmt.Sprint(got.to) != "[a@example.org]" {
		t.Errorf("report: from %q to %q", got.from, got.to)
	}
	finished(t, a.Queue(), queue.ID(id))
}

func TestProgramReplacesTheMessageUnderItsID(t *testing.T) {
	next := newSink(t)
	a, _ := start(t, read(t, t.TempDir(), execConfig(t, next.addr, "after", `printf 'X-Words: %s\r\n' "$MTAD_SENDER"; cat`, "output: replace")))
	_, id := dial(t, a.Addr("smtp").String()).send(250, "a@example.org", "b@example.net", message)
	got := string(next.wait(t).data)
	if text := content(t, []byte(got)); text != "X-Words: a@example.org\r\n"+message {
		t.Errorf("got %q", text)
	}
	if strings.Count(got, "by mx.test") != 1 || !strings.Contains(got, id) {
		t.Errorf("our trace is not there once: %q", got)
	}
	finished(t, a.Queue(), queue.ID(id))
}
