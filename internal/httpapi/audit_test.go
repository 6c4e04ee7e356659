package httpapi

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestChangesOfOperatorsAreLoggedWithTheirNames(t *testing.T) {
	r := newRig(t, rigOptions{})
	var log bytes.Buffer
	r.s.log = slog.New(slog.NewTextHandler(&log, nil))
	it := r.accept(letter, theFilter)
	r.call("write", "POST", "/v1/queue/messages/"+string(it.ID)+"/actions", `{"action":"hold","reason":"odd"}`)
	r.call("write", "POST", "/v1/queue/jobs", `{"action":"release","filter":"held reason=odd"}`)
	for _, want := range []string{
		"queue_id=" + string(it.ID) + " action=hold by=operator:write reason=odd",
		`filter="reason=odd held" action=release by=operator:write`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in the log:\n%s", want, log.String())
		}
	}
	before := log.Len()
	r.call("write", "POST", "/v1/queue/jobs", `{"action":"delete","filter":"","dry_run":true}`)
	r.call("read", "POST", "/v1/queue/jobs", `{"action":"delete","filter":""}`)
	if strings.Contains(log.String()[before:], "bulk change") {
		t.Errorf("what did not happen is logged:\n%s", log.String()[before:])
	}
}
