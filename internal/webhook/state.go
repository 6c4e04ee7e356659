package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"mtad/internal/events"
)

// state is what is kept of a target.
type state struct {
	Version  int             `json:"version"`
	URL      string          `json:"url_sha256"` // another URL is another receiver: it is not stopped
	Position events.Position `json:"position"`
	Stopped  string          `json:"stopped,omitempty"` // why nothing is sent any more
	At       time.Time       `json:"at"`
}

const (
	stateVersion = 1
	maxState     = 64 << 10 // octets
)

var errState = errors.New("webhook: unreadable state")

// readState reads a target's file. ok is false when there is none.
func readState(path string) (s state, ok bool, err error) {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	}
	if err != nil {
		return s, false, err
	}
	if !fi.Mode().IsRegular() || fi.Size() > maxState {
		return s, false, errState
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return s, false, err
	}
	if json.Unmarshal(b, &s) != nil || s.Version != stateVersion {
		return state{}, false, errState
	}
	if _, err := s.Position.Cursor(); err != nil {
		return state{}, false, errState
	}
	return s, true, nil
}

// writeState replaces a target's file: written, synced, renamed, directory
// synced. A crash leaves the old one or the new one.
func writeState(path string, s state) (err error) {
	s.Version = stateVersion
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
			err = fmt.Errorf("webhook: %w", err)
		}
	}()
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// dropTemps removes what a crash left half-written.
func dropTemps(dir string) {
	list, _ := filepath.Glob(filepath.Join(dir, ".new-*"))
	for _, f := range list {
		_ = os.Remove(f)
	}
}
