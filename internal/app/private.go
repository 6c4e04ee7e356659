package app

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"mtad/internal/config"
)

// maxPrivate bounds a file with a DSN or with credentials, in octets.
const maxPrivate = 4096

// private is what a section of logins keeps in files of its own.
type private struct {
	dsn         string
	credentials string
	authorities []byte
}

// privateOf reads the files.
func privateOf(a config.Auth) (p private, err error) {
	if a.SQL.Driver != "" {
		if p.dsn, err = readLine(a.SQL.DSNFile); err != nil {
			return p, err
		}
	}
	if a.OAuth.CredentialsFile != "" {
		if p.credentials, err = readLine(a.OAuth.CredentialsFile); err != nil {
			return p, err
		}
	}
	if a.OAuth.CAFile != "" {
		p.authorities, err = os.ReadFile(a.OAuth.CAFile)
	}
	return p, err
}

// sum tells one state of the files from another.
func (p private) sum() [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%q %q %q", p.dsn, p.credentials, p.authorities))
}

// readLine is the one line of a file. An error does not show it.
func readLine(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPrivate+1))
	if err != nil {
		return "", err
	}
	line := strings.TrimSpace(string(b))
	if len(b) > maxPrivate || line == "" || strings.ContainsAny(line, "\r\n\x00") {
		return "", fmt.Errorf("%s: %w", path, errors.New("not one line of text"))
	}
	return line, nil
}
