package locallog

import (
	"sync"
	"time"
)

// troubleEvery is how often trouble is logged: pebble tries a flush again at once,
// thousands of times a second, and a log on the same disk must not help to fill it.
const troubleEvery = 5 * time.Second

// troubles counts what was not logged.
type troubles struct {
	mu   sync.Mutex
	last time.Time
	kept int
}

// take says whether a line is due at now, and how many there were since the last.
func (t *troubles) take(now time.Time) (kept int, due bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if since := now.Sub(t.last); since >= 0 && since < troubleEvery {
		t.kept++
		return 0, false
	}
	kept, t.kept, t.last = t.kept, 0, now
	return kept, true
}

// trouble is told of errors of work in the background.
func (l *Log) trouble(err error) {
	if kept, due := l.troubles.take(time.Now()); due {
		l.log.Warn("store works with trouble", "error", err, "not_logged", kept)
	}
}
