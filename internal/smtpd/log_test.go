package smtpd

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"mtad/internal/intake"
)

// logOf runs a session and returns the first line with text.
func logOf(t *testing.T, text string, run func(d *door), change ...func(*Options, *intake.Options)) map[string]any {
	t.Helper()
	var log bytes.Buffer
	d := openDoor(t, append(change, func(o *Options, _ *intake.Options) { o.Logger = slog.New(slog.NewJSONHandler(&log, nil)) })...)
	run(d)
	waitOpen(t, d, 0)
	d.srv.Close()
	for line := range strings.Lines(log.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		if m["msg"] == text {
			return m
		}
	}
	t.Fatalf("no line %q in\n%s", text, &log)
	return nil
}

func TestMessageThatIsNotCompleteHasALogLineWithItsID(t *testing.T) {
	m := logOf(t, "content not complete", func(d *door) {
		p := d.inData()
		p.send("half a mess")
		p.conn.Close()
	})
	if id, _ := m["queue_id"].(string); len(id) != 13 || m["reason"] != "eof" {
		t.Errorf("%v", m)
	}
}

func TestRefusedContentHasALogLineWithItsID(t *testing.T) {
	m := logOf(t, "content refused", func(d *door) { d.inData().talk("> \"a\\nb\\r\\n.\\r\\nQUIT\\r\\n\"\n< 550\n< 221\n< end") })
	if id, _ := m["queue_id"].(string); len(id) != 13 || m["fault"] != "bare_lf" {
		t.Errorf("%v", m)
	}
}

func TestClientThatHungUpIsNotLoggedAsRefused(t *testing.T) {
	m := logOf(t, "client gone", func(d *door) {
		p := d.inData()
		p.send("x\r\n.\r\n")
		d.claimed()
		p.conn.Close()
	}, planned(intake.Plan{Stage: "f", Timing: intake.Inline}))
	if id, _ := m["queue_id"].(string); len(id) != 13 || m["level"] != "INFO" {
		t.Errorf("%v", m)
	}
}
