package maildrop

import (
	"io"
	"os"
	"path/filepath"
	"strings"
)

const hostnameFile = "hostname"

// SetHostname writes what mtad calls this machine, for writers who complete header
// fields.
func SetHostname(dir, name string) error {
	path := filepath.Join(dir, hostnameFile)
	if have, err := Hostname(dir); err == nil && have == name {
		return nil
	}
	f, err := os.CreateTemp(dir, ".hostname")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(name + "\n")
	if cerr := f.Chmod(0o644); err == nil {
		err = cerr
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Hostname is what mtad calls this machine.
func Hostname(dir string) (string, error) {
	f, err := os.Open(filepath.Join(dir, hostnameFile))
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 256))
	return strings.TrimSpace(string(b)), err
}
