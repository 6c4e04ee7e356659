package app_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"mtad/queue"
)

// startPython runs the example scanner in Python against an App until the test ends.
func startPython(t *testing.T, server string) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 here")
	}
	cmd := exec.Command(python, "-B", "../../filterproto/examples/python/wordscan.py", server, "words", "lottery")
	cmd.Env = append(os.Environ(), "MTAD_TOKEN="+secret)
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("scanner: %s", said.String())
		}
	})
}

func TestScannerInPythonJudgesMailOfAnySize(t *testing.T) {
	next := newSink(t)
	a, _ := start(t, read(t, t.TempDir(), filterConfig(next.addr, "inline")))
	startPython(t, "http://"+a.Addr("api").String())
	large := message + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 9<<20/72) // more than comes in a frame's answer
	for _, text := range []string{message, large} {
		_, id := dial(t, a.Addr("smtp").String()).send(250, "a@example.org", "b@example.net", text)
		if got := content(t, next.wait(t).data); got != text {
			t.Errorf("%d octets arrived as %d", len(text), len(got))
		}
		finished(t, a.Queue(), queue.ID(id))
	}
	dial(t, a.Addr("smtp").String()).send(550, "a@example.org", "b@example.net", message+"Win the LOTTERY\r\n")
	tally, err := a.Queue().Count(t.Context(), queue.Filter{})
	if err != nil || tally.Messages != 0 {
		t.Errorf("%d messages are left, %v", tally.Messages, err)
	}
}
