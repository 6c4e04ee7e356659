package mailscanner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// stored reports whether MailScanner's quarantine has something of this name: a
// directory or file NAME below a day, or below a kind of mail below a day.
func stored(quarantine, name string) (bool, error) {
	days, err := os.ReadDir(quarantine)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // MailScanner makes it when it stores the first message
	}
	if err != nil {
		return false, fmt.Errorf("mailscanner: %w", err)
	}
	for _, day := range days {
		for _, kind := range []string{"", "spam", "nonspam", "mcp"} {
			if _, err := os.Lstat(filepath.Join(quarantine, day.Name(), kind, name)); err == nil {
				return true, nil
			}
		}
	}
	return false, nil
}
