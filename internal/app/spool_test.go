package app_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Others pass through the spool to its sockets, also where the unit or the shell
// has a narrow umask; they cannot list it.
func TestOthersPassThroughASpoolMadeUnderANarrowUmask(t *testing.T) {
	dir := t.TempDir()
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	start(t, read(t, dir, "listeners: {}\napi: {listen: []}\n"))
	fi, err := os.Stat(filepath.Join(dir, "spool"))
	if err != nil {
		t.Fatal(err)
	}
	if got := fi.Mode().Perm(); got != 0o711 {
		t.Errorf("mode %04o, want 0711", got)
	}
}
