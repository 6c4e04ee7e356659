package locallog

import (
	"testing"
	"time"
)

func TestTroubleDoesNotFloodTheLog(t *testing.T) {
	var tr troubles
	now := time.Unix(1000, 0)
	lines := 0
	for range 10000 {
		if _, due := tr.take(now); due {
			lines++
		}
		now = now.Add(time.Millisecond)
	}
	if lines != 2 {
		t.Errorf("%d lines in ten seconds, want 2", lines)
	}
	if kept, due := tr.take(now.Add(time.Hour)); !due || kept == 0 {
		t.Errorf("kept %d, due %v: what was not logged has to be counted", kept, due)
	}
	if _, due := tr.take(now); !due {
		t.Error("a clock that went back must not silence the log")
	}
}
