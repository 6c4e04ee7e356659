package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"mtad/api"
	"mtad/internal/events"
	"mtad/internal/events/eventstest"
	"mtad/internal/webhook"
	"mtad/queue"
)

// eventRig is a rig that serves a socket, with a token for events.
type eventRig struct {
	*rig
	url, token string
	stop       func()
}

func newEventRig(t *testing.T, l Limits) *eventRig {
	t.Helper()
	r := &eventRig{rig: newRig(t, rigOptions{limits: l})}
	plain, stored := NewToken(ScopeEvents)
	stored.Name = "reader"
	other, second := NewToken(ScopeEvents)
	second.Name = "other"
	r.tokens["other"] = other
	if err := r.s.SetAccess([]Token{stored, second}, []Peer{}); err != nil {
		t.Fatal(err)
	}
	r.token = plain
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = r.s.Run(ctx, ln) }()
	r.stop = func() { cancel(); <-done }
	t.Cleanup(r.stop)
	r.url = "http://" + ln.Addr().String() + "/v1/events"
	return r
}

// sse is a client of a stream.
type sse struct {
	t *testing.T
	r *bufio.Reader
	c io.Closer
	n int // comments
}

func (r *eventRig) request(query, lastID, token string) *http.Response {
	r.t.Helper()
	q, _ := http.NewRequest("GET", r.url+query, nil)
	q.Header.Set("Authorization", "Bearer "+token)
	if lastID != "" {
		q.Header.Set("Last-Event-ID", lastID)
	}
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { res.Body.Close() })
	return res
}

func (r *eventRig) listen(query, lastID string) *sse {
	r.t.Helper()
	res := r.request(query, lastID, r.token)
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		body, _ := io.ReadAll(res.Body)
		r.t.Fatalf("%s %s: %s", res.Status, res.Header, body)
	}
	return &sse{t: r.t, r: bufio.NewReader(res.Body), c: res.Body}
}

// frame reads up to the next blank line; comments are counted.
func (s *sse) frame() (fields map[string]string, err error) {
	fields = map[string]string{}
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return nil, err
		}
		line = strings.TrimSuffix(line, "\n")
		switch name, value, _ := strings.Cut(line, ":"); {
		case line == "":
			return fields, nil
		case name == "":
			s.n++
		default:
			fields[name] = strings.TrimPrefix(value, " ")
		}
	}
}

// next is the next event.
func (s *sse) next() events.Event {
	s.t.Helper()
	for {
		f, err := s.frame()
		if err != nil {
			s.t.Fatal(err)
		}
		if f["data"] == "" {
			continue
		}
		var e events.Event
		if err := json.Unmarshal([]byte(f["data"]), &e); err != nil {
			s.t.Fatal(err)
		}
		if f["id"] != e.ID || f["event"] != string(e.Type) {
			s.t.Fatalf("frame %v", f)
		}
		return e
	}
}

func TestEventsAreStreamedAsTheyHappen(t *testing.T) {
	r := newEventRig(t, Limits{})
	s := r.listen("", "")
	if f, err := s.frame(); err != nil || f["retry"] == "" { // the stream is open from here on
		t.Fatal(f, err)
	}
	it := r.accept(letter, "")
	e := s.next()
	if e.Type != events.Accepted || e.Message.QueueID != string(it.ID) {
		t.Errorf("event %+v", e)
	}
}

func TestAStreamIsResumedByItsID(t *testing.T) {
	r := newEventRig(t, Limits{})
	for range 4 {
		r.accept(letter, "")
	}
	all := r.listen("?since=1970-01-01T00:00:00Z", "")
	var ids []string
	for range 4 {
		ids = append(ids, all.next().ID)
	}
	for i, id := range ids[:3] {
		if got := r.listen("?after="+id, "").next().ID; got != ids[i+1] {
			t.Errorf("after %s: %s", id, got)
		}
		if got := r.listen("?after="+ids[0], id).next().ID; got != ids[i+1] { // as a browser's client repeats the query
			t.Errorf("Last-Event-ID %s: %s", id, got)
		}
	}
}

func TestAStreamHoldsWhatWasAskedForOnly(t *testing.T) {
	r := newEventRig(t, Limits{})
	first, second := r.accept(letter, ""), r.accept(letter, "")
	s := r.listen("?since=1970-01-01T00:00:00Z&type=accepted&type=held&id="+string(second.ID), "")
	if e := s.next(); e.Message.QueueID != string(second.ID) || first.ID == second.ID {
		t.Errorf("event %+v", e)
	}
}

func TestAStreamIsRefused(t *testing.T) {
	r := newEventRig(t, Limits{Streams: 3, StreamsPerCaller: 2})
	for query, code := range map[string]string{
		"?after=x": "invalid_parameter", "?after=zz-1": "invalid_parameter", "?since=yesterday": "invalid_parameter",
		"?type=nothing": "invalid_parameter", "?type=gap": "invalid_parameter", "?id=x": "invalid_parameter", "?from=1": "unknown_field",
		"?after=" + strings.Repeat("1", 200): "invalid_parameter",
	} {
		res := r.request(query, "", r.token)
		var e api.Error
		if err := json.NewDecoder(res.Body).Decode(&e); err != nil || e.Code != code {
			t.Errorf("%s: %s %+v %v", query, res.Status, e, err)
		}
	}
	if res := r.request("", "1-1\x20x", r.token); res.StatusCode != 400 {
		t.Errorf("Last-Event-ID: %s", res.Status)
	}
	if res := r.request("", "", r.tokens["read"]); res.StatusCode != 401 {
		t.Errorf("a token that is not good: %s", res.Status)
	}
	a := r.listen("", "")
	r.listen("", "")
	if res := r.request("", "", r.token); res.StatusCode != 429 || res.Header.Get("Retry-After") == "" {
		t.Errorf("the caller's third: %s", res.Status)
	}
	if res := r.request("", "", r.tokens["other"]); res.StatusCode != 200 {
		t.Errorf("somebody else's first: %s", res.Status)
	}
	if res := r.request("", "", r.tokens["other"]); res.StatusCode != 429 {
		t.Errorf("the fourth in all: %s", res.Status)
	}
	a.c.Close()
	eventually(t, func() bool { return r.s.streams.count() == 2 })
}

func TestStreamsNeedTheScopeForEvents(t *testing.T) {
	r := newRig(t, rigOptions{})
	for _, who := range []string{"operator", "filters", "metrics", "submit"} {
		if res := r.call(who, "GET", "/v1/events", nil); res.Code != 403 {
			t.Errorf("%s: %d", who, res.Code)
		}
	}
}

func TestAQuietStreamIsKeptAliveAndMovesOn(t *testing.T) {
	r := newEventRig(t, Limits{Heartbeat: 10 * time.Millisecond})
	s := r.listen("?type=held", "")
	r.accept(letter, "")
	for {
		f, err := s.frame()
		if err != nil {
			t.Fatal(err)
		}
		if f["id"] != "" && f["data"] == "" { // a place without an event
			break
		}
	}
	if s.n == 0 {
		t.Error("no comment")
	}
}

func TestStreamsEndWithTheServerAndWithTheirTime(t *testing.T) {
	r := newEventRig(t, Limits{StreamTime: 50 * time.Millisecond})
	if _, err := io.ReadAll(r.listen("", "").r); err != nil {
		t.Errorf("at the end of its time: %v", err)
	}
	r = newEventRig(t, Limits{})
	s := r.listen("", "")
	if _, err := s.frame(); err != nil {
		t.Fatal(err)
	}
	go r.stop()
	if _, err := io.ReadAll(s.r); err != nil {
		t.Errorf("at the end of the server: %v", err)
	}
}

// taped is a queue with many events.
type taped struct {
	queue.Queue
	tape *eventstest.Tape
}

func (q taped) Watch(ctx context.Context, c queue.Cursor) (queue.EventStream, error) {
	return q.tape.Watch(ctx, c)
}

func TestAClientThatDoesNotReadIsCutOff(t *testing.T) {
	r := newEventRig(t, Limits{StallTime: 100 * time.Millisecond})
	tape := eventstest.NewTape()
	for n := range 20_000 { // more than the buffers of two sockets hold
		tape.Add(queue.EventDelivered, queue.IDFromBits(1, 0))
		tape.Events[n].Recipient, tape.Events[n].Text = "b@example.net", strings.Repeat("x", 1000)
	}
	r.s.queue = taped{r.q, tape}
	c, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(r.url, "http://"), "/v1/events"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /v1/events?since=1970-01-01T00:00:00Z HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+r.token+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil { // it has begun
		t.Fatal(err)
	}
	eventually(t, func() bool { return r.s.streams.count() == 0 })
}

func TestCurlReadsTheStream(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("no curl")
	}
	r := newEventRig(t, Limits{})
	it := r.accept(letter, "")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, curl, "-sN", "-H", "Authorization: Bearer "+r.token, r.url+"?since=1970-01-01T00:00:00Z")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &sse{t: t, r: bufio.NewReader(out), c: out}
	if e := s.next(); e.Message.QueueID != string(it.ID) {
		t.Errorf("event %+v", e)
	}
	cancel()
	_ = cmd.Wait()
}

// An event has no field that openapi.yaml does not know.
func TestEventsAreAsTheContractSays(t *testing.T) {
	at := time.Unix(1_700_000_000, 0).UTC()
	full := events.Event{
		ID: "1-1", Type: events.Deferred, Time: at,
		Message:    &events.Message{QueueID: "Q", Item: "Q.1", Parent: "P", Origin: "dsn", ReversePath: "a@x", EnvID: "e", Meta: map[string]string{"k": "v"}, MetaCut: true},
		Recipient:  &events.Recipient{Address: "b@x", Status: "pending", Reply: "450", Transport: "smtp", NextHop: "x", Remote: "mx"},
		Recipients: []string{"b@x"}, RecipientCount: 1, Size: 1, NextAttempt: at,
		Verdict: &events.Verdict{Filter: "f", Disposition: "accept", Score: 1, Symbols: []string{"S"}, Reply: "r", Reason: "r"},
		Hold:    &events.Hold{By: "b", Reason: "r", Until: at}, Reason: "r", Gap: &events.GapInfo{After: "1-1", Until: at},
	}
	want, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	var e api.Event
	d := json.NewDecoder(bytes.NewReader(want))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var a, b map[string]any
	if errors.Join(json.Unmarshal(want, &a), json.Unmarshal(got, &b)) != nil || !equalJSON(a, b) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, typ := range events.Types() {
		if !api.EventType(typ).Valid() {
			t.Errorf("the contract does not know %s", typ)
		}
	}
}

func equalJSON(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return bytes.Equal(x, y)
}

// hooks are webhooks as the API sees them.
type hooks struct{ at events.Position }

func (h *hooks) Status() []webhook.Status {
	return []webhook.Status{{Name: "crm", URL: "https://h/…", State: webhook.Running, Lag: 1500 * time.Millisecond, Pending: 3}}
}

func (h *hooks) Replay(_ context.Context, name string, at events.Position) error {
	if name != "crm" {
		return webhook.ErrNoTarget
	}
	h.at = at
	return nil
}

func (h *hooks) Test(_ context.Context, name string) (webhook.Attempt, error) {
	if name != "crm" {
		return webhook.Attempt{}, webhook.ErrNoTarget
	}
	return webhook.Attempt{ID: "test-1", Status: 204, Took: time.Second}, nil
}

func TestWebhooksAreShownAndDriven(t *testing.T) {
	r := newRig(t, rigOptions{})
	h := &hooks{}
	r.s.webhooks = h
	if res := r.call("read", "GET", "/v1/webhooks", nil); res.Code != 200 || !strings.Contains(res.Body.String(), `"lag":1.5`) {
		t.Errorf("list: %d %s", res.Code, res.Body)
	}
	if res := r.call("write", "POST", "/v1/webhooks/crm/replay", map[string]any{"after": "1a-1.0"}); res.Code != 204 || h.at.After != "1a-1.0" {
		t.Errorf("replay: %d %s", res.Code, res.Body)
	}
	for _, c := range []struct {
		path, who string
		body      any
		code      int
	}{
		{"/v1/webhooks/crm/replay", "read", map[string]any{"after": "1a-1.0"}, 403},
		{"/v1/webhooks/no/replay", "write", map[string]any{"after": "1a-1.0"}, 404},
		{"/v1/webhooks/crm/replay", "write", map[string]any{}, 400},
		{"/v1/webhooks/crm/replay", "write", map[string]any{"after": "x"}, 400},
		{"/v1/webhooks/crm/replay", "write", map[string]any{"after": "1a-1.0", "since": "2026-01-01T00:00:00Z"}, 400},
		{"/v1/webhooks/no/test", "write", nil, 404},
		{"/v1/webhooks/crm/test", "read", nil, 403},
		{"/v1/webhooks/crm/test", "write", nil, 200},
	} {
		if res := r.call(c.who, "POST", c.path, c.body); res.Code != c.code {
			t.Errorf("%s %v as %s: %d %s", c.path, c.body, c.who, res.Code, res.Body)
		}
	}
}

// eventually waits for what other goroutines bring about.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never happened")
		}
	}
}
