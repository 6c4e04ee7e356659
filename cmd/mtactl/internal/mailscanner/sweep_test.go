package mailscanner

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A MailScanner that had opened a file before it was taken away may answer long after
// its bridge is forgotten.
func TestOldAnswersOfForgottenBridgesAreRemoved(t *testing.T) {
	x := newExchange(t)
	self, err := newInstance(x.in)
	if err != nil {
		t.Fatal(err)
	}
	defer self.end()
	b := &bridge{x: x, self: self, log: slog.New(slog.DiscardHandler), claims: make(map[string]*claim), warned: make(map[string]bool)}
	living := newName("ID", self.name, 1)
	b.claims[living] = &claim{}
	stays := map[string]bool{
		x.outPath("ID_AAAAAAAA_1"): false, x.outPath("temp-7-ID_AAAAAAAA_1"): false,
		x.outPath("ID_BBBBBBBB_1"): true,                                                 // is not old
		x.inPath("ID_AAAAAAAA_1"):  true,                                                 // its bridge may live
		x.outPath(living):          true, x.inPath(living): true, x.outPath("log"): true, // awaited; a stranger
	}
	old := time.Now().Add(-2 * orphanAge)
	for path := range stays {
		touch(t, path)
		if path != x.outPath("ID_BBBBBBBB_1") {
			if err := os.Chtimes(path, old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.sweep()
	for path, want := range stays {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: stays %t, want %t", filepath.Base(path), err == nil, want)
		}
	}
}
