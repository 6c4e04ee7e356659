package smtpd

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"mtad/internal/intake"
	"mtad/queue/queuetest"
)

func TestFullQueueIs452BeforeTheContent(t *testing.T) {
	d := openDoor(t, func(_ *Options, in *intake.Options) {
		in.Queue = queuetest.NewModel(queuetest.ModelOptions{MaxMessages: 1})
	})
	p := d.inData()
	p.talk("> .\n< 250\n" + toUs + "> DATA\n< 452 4.3.1\n> RSET\n< 250\n" + toUs + `> "BDAT 4\r\nab\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"` + "\n< 452 4.3.1\n< 452 4.3.1\n< 250")
	d.wantMessages(1)
}

func TestConnectionLostWithinContentLeavesNothing(t *testing.T) {
	for _, raw := range []string{"x\r\n", "x\r\n.", "x\r\n.\r", "x\r\n.\n"} {
		d := openDoor(t)
		p := d.inData()
		p.send(raw)
		p.conn.Close()
		waitOpen(t, d, 0)
		d.wantMessages(0)
	}
}

// writes counts what the server writes at once.
type writes struct {
	script
	all []string
}

func (c *writes) Write(p []byte) (int, error) {
	c.all = append(c.all, string(p))
	return len(p), nil
}

func TestPipelinedCommandsAreAnsweredInOneWrite(t *testing.T) {
	srv, _ := sinkServer(t, func(o *Options) {
		o.Local = func(d string) bool { return d == "example.org" }
		o.Limits.Greeting = -1
	})
	batch := "EHLO x\r\nMAIL FROM:<>\r\n" + strings.Repeat("RCPT TO:<b@example.org>\r\n", 50) + "NOOP\r\n"
	c := &writes{script: script{input: []byte(batch), size: len(batch)}}
	newSession(srv, c).serve(false)
	if len(c.all) != 2 || strings.Count(c.all[1], "250 2.1.5") != 50 { // the greeting is the first
		t.Errorf("%d writes: %q", len(c.all), c.all)
	}
	// A reply goes out before the session waits, also behind half a command.
	half := "NOOP\r\nNO"
	c = &writes{script: script{input: []byte(half), size: len(half)}}
	newSession(srv, c).serve(false)
	if all := strings.Join(c.all, ""); !strings.HasSuffix(all, "250 2.0.0 ok\r\n") {
		t.Errorf("%q", all)
	}
}

// A client that does not read costs one write's time, not one for each reply.
func TestNothingIsWrittenAfterAWriteFailed(t *testing.T) {
	srv, _ := sinkServer(t, func(o *Options) { o.Limits.Greeting = -1 })
	input := strings.Repeat("NOOP\r\n", 10_000)
	c := &deaf{writes: writes{script: script{input: []byte(input), size: 1000}}}
	newSession(srv, c).serve(false)
	if len(c.all) != 1 {
		t.Errorf("%d writes", len(c.all))
	}
}

type deaf struct{ writes }

func (c *deaf) Write(p []byte) (int, error) {
	_, _ = c.writes.Write(p)
	return 0, os.ErrDeadlineExceeded
}

func TestEachMessageHasALogLineWithItsID(t *testing.T) {
	var log bytes.Buffer
	d := openDoor(t, func(o *Options, _ *intake.Options) { o.Logger = slog.New(slog.NewJSONHandler(&log, nil)) })
	p := d.inData()
	p.talk("> x\n> .\n< 250\n> MAIL FROM:<>\n< 250\n> RCPT TO:<b@else.example>\n< 554\n> QUIT\n< 221\n< end")
	waitOpen(t, d, 0)
	d.srv.Close()
	id := string(d.wantMessages(1)[0].ID)
	lines := map[string]map[string]any{}
	for line := range strings.Lines(log.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		if msg := m["msg"].(string); lines[msg] == nil {
			lines[msg] = m
		}
	}
	if m := lines["accepted"]; m == nil || m["queue_id"] != id || !strings.Contains(m["reply"].(string), id) || m["size"].(float64) != 3 {
		t.Errorf("accepted: %v", m)
	}
	if m := lines["recipient refused"]; m == nil || m["recipient"] != "b@else.example" || m["reason"] != "relay" {
		t.Errorf("refused: %v", m)
	}
	if m := lines["session ended"]; m == nil || m["reason"] != "quit" || m["messages"].(float64) != 1 {
		t.Errorf("ended: %v", m)
	}
}

func TestMetricsCount(t *testing.T) {
	reg := prometheus.NewRegistry()
	with := func(o *Options, _ *intake.Options) { o.Registry = reg }
	d := openDoor(t, with)
	d.inData().talk("> x\n> .\n< 250\n> MAIL FROM:<>\n< 250\n> RCPT TO:<b@else.example>\n< 554\n> QUIT\n< 221\n< end")
	d.srv.Close()
	// A second server of the same name, as a reload makes one, goes on counting.
	d = openDoor(t, with)
	d.inData().talk("> x\n> .\n< 250\n> QUIT\n< 221\n< end")
	d.srv.Close()
	got := gather(t, reg)
	for name, want := range map[string]float64{
		"mtad_smtpd_sessions_total{listener=smtp}":                          2,
		"mtad_smtpd_connections{listener=smtp}":                             0,
		"mtad_smtpd_messages_total{listener=smtp}":                          2,
		"mtad_smtpd_octets_total{listener=smtp}":                            6,
		"mtad_smtpd_refusals_total{listener=smtp,reason=relay}":             1,
		"mtad_smtpd_replies_total{class=2yz,command=MAIL,listener=smtp}":    3,
		"mtad_smtpd_replies_total{class=5yz,command=RCPT,listener=smtp}":    1,
		"mtad_smtpd_replies_total{class=3yz,command=DATA,listener=smtp}":    2,
		"mtad_smtpd_replies_total{class=2yz,command=DATA,listener=smtp}":    2,
		"mtad_smtpd_replies_total{class=2yz,command=unknown,listener=smtp}": 2, // the greeting
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}

func gather(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			got[f.GetName()+"{"+strings.Join(labels, ",")+"}"] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return got
}
