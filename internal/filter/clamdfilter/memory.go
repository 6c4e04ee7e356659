package clamdfilter

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// inMemory copies content into a file that has no name and is in memory.
func inMemory(content io.Reader) (*os.File, error) {
	fd, err := unix.MemfdCreate("mtad-message", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "mtad-message")
	if _, err := io.Copy(f, content); err != nil {
		f.Close()
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
