package queuetest

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what the model answers into testdata/*.txt")

// The model is what the written histories are rewritten from; read the diff.
func TestRewriteHistories(t *testing.T) {
	if !*rewrite {
		t.Skip("without -rewrite")
	}
	names, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s := modelSubject(t)
		s.rewrite = true
		if err := os.WriteFile(name, []byte(playHistory(t, s, string(text))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAHistoryIsPrintedAsItIsRead(t *testing.T) {
	for _, name := range historyNames() {
		text, err := histories.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		blocks, err := parseHistory(string(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := printHistory(blocks); got != string(text) {
			t.Errorf("%s prints as\n%s", name, got)
		}
	}
}
