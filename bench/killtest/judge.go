package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

var markField = regexp.MustCompile(`(?m)^X-Mark: (\S+)$`)

// arrival is one message as the sink wrote it down.
type arrival struct {
	trace, content []byte
}

// readDumps reads what smtp-sink wrote, by mark. The sink puts fields of its own
// in front and an empty line behind.
func readDumps(dir string) (map[string][]arrival, error) {
	got := map[string][]arrival{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		m := markField.FindSubmatchIndex(b)
		if m == nil || !bytes.HasSuffix(b, []byte("\nend\n\n\n")) {
			return nil // a transaction that broke off
		}
		mark := string(b[m[2]:m[3]])
		got[mark] = append(got[mark], arrival{trace: b[:m[0]], content: b[m[0] : len(b)-1]})
		return nil
	})
	return got, err
}

// ours is the one field that mtad adds, as the last before the content.
var ours = regexp.MustCompile(`(?s)\nReceived: from client\.example\.org [^\n]*(\n[ \t][^\n]*)*\n$`)

// judge compares what was acknowledged with what arrived.
func (l *ledger) judge(got map[string][]arrival, kills int, accepted, drained time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lost, changed, duplicates, unacked int
	for mark, a := range l.attempts {
		arrivals := got[mark]
		if len(arrivals) == 0 && a.acked {
			lost++
			fmt.Printf("killtest: lost: %s (%s)\n", mark, a.id)
		}
		if len(arrivals) > 0 && !a.acked {
			unacked++
		}
		for _, x := range arrivals {
			if !bytes.Equal(x.content, a.content) || !ours.Match(x.trace) {
				changed++
				fmt.Printf("killtest: changed: %s\n", mark)
			}
		}
		duplicates += max(0, len(arrivals)-1)
	}
	fmt.Printf("killtest: %d acknowledged, %d lost, %d changed, %d duplicates after %d kills, %d arrived whose reply was lost; accepted in %v, drained after %v\n",
		l.acked, lost, changed, duplicates, kills, unacked, accepted.Round(time.Millisecond), drained.Round(time.Millisecond))
	// What was in flight at a kill: at most the deliveries under way.
	if bound := kills * maxInFlight; duplicates > bound {
		return fmt.Errorf("%d duplicates, more than the %d in flight at %d kills", duplicates, bound, kills)
	}
	if lost+changed > 0 {
		return errors.New("mail was lost or changed")
	}
	return nil
}
