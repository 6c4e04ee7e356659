package maildrop

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncAll syncs the file system that f is on.
func syncAll(f *os.File) error { return unix.Syncfs(int(f.Fd())) }
