//go:build !linux

package maildrop

import "os"

// syncAll syncs f alone: there is no call for its file system that tells of errors.
func syncAll(f *os.File) error { return f.Sync() }
