package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"

	"mtad/api"
	"mtad/filterproto"
	"mtad/internal/submission"
	"mtad/queue"
	"mtad/queue/queuetest"
)

const block = "sender: <a@example.org>\nrecipient: <b@example.net>\n\n"

func (r *rig) hand(who, body string) *httptest.ResponseRecorder {
	return r.call(who, "POST", "/v1/messages", body, "Content-Type", submission.MediaType)
}

func (r *rig) queued() int64 {
	r.t.Helper()
	n, err := r.q.Count(r.t.Context(), queue.Filter{})
	if err != nil {
		r.t.Fatal(err)
	}
	return n.Messages
}

func TestSubmissionVectorsOverHTTP(t *testing.T) {
	b, err := os.ReadFile("../../spec/vectors/submission.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []struct {
		Name, Input, Content string
		Error                *struct{ Attribute, Kind string }
	}
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	for _, v := range list {
		t.Run(v.Name, func(t *testing.T) {
			r := newRig(t, rigOptions{})
			w := r.hand("submitter", v.Input)
			if v.Error == nil {
				res := good[api.Submitted](t, w, 201)
				if w.Header().Get("Location") != "/v1/messages/"+res.ID {
					t.Errorf("Location %q", w.Header().Get("Location"))
				}
				if got := r.call("read", "GET", "/v1/queue/messages/"+res.ID+"/content", nil).Body.String(); got != v.Content {
					t.Errorf("content %q, want %q", got, v.Content)
				}
				return
			}
			code := map[string]string{"invalid": filterproto.CodeInvalidSubmission, "too_large": filterproto.CodeMessageTooLarge}[v.Error.Kind]
			if e := refused(t, w, code); e.Field != v.Error.Attribute || strings.ContainsAny(e.Message, "\r\n\x00") {
				t.Errorf("%+v, want field %q", e, v.Error.Attribute)
			}
			if n := r.queued(); n != 0 {
				t.Errorf("%d messages were kept", n)
			}
		})
	}
}

func TestAnEnvelopeInTheQuery(t *testing.T) {
	for query, field := range map[string]string{
		"from=a@b&to=c@d": "",
		"from=%3C%3E&to=c@d&to=%3Ce@f%3E&notify=fail,delay&ret=full&envid=x": "",
		"from=a@b&to=c@d&orcpt=rfc822;x@y":                                   "",
		"to=c@d":                                                             "from",
		"from=&to=c@d":                                                       "from",
		"from=a@b":                                                           "to",
		"from=a@b&to=":                                                       "to[0]",
		"from=a@b&to=c@d&to=%3C%3E":                                          "to[1]",
		"from=a@b&to=c@d%0D%0ARCPT+TO:e@f":                                   "to[0]",
		"from=a@b%00&to=c@d":                                                 "from",
		"from=a@b&to=c@d&notify=sometimes":                                   "notify",
		"from=a@b&to=c@d&ret=FULL":                                           "ret",
		"from=a@b&to=c@d&envid=a%0Ab":                                        "envid",
		"from=a@b&to=c@d&to=e@f&orcpt=rfc822;x@y":                            "orcpt",
		"from=a@b&to=c@d&orcpt=x":                                            "orcpt",
	} {
		r := newRig(t, rigOptions{})
		w := r.call("submit", "POST", "/v1/messages?"+strings.ReplaceAll(query, ";", "%3B"), letter, "Content-Type", "message/rfc822")
		if field == "" {
			good[api.Submitted](t, w, 201)
		} else if e := refused(t, w, "invalid_submission"); e.Field != field {
			t.Errorf("%s: %+v, want field %s", query, e, field)
		}
	}
	r := newRig(t, rigOptions{})
	for _, query := range []string{"from=a@b&from=x@y&to=c@d", "from=a@b&to=c@d&ret=full&ret=headers"} {
		refused(t, r.call("submit", "POST", "/v1/messages?"+query, letter, "Content-Type", "message/rfc822"), "invalid_parameter")
	}
	refused(t, r.call("submit", "POST", "/v1/messages?from=a@b&to=c@d&rcpt=e@f", letter, "Content-Type", "message/rfc822"), "unknown_field")
	refused(t, r.call("submit", "POST", "/v1/messages?from=a@b", block+letter, "Content-Type", submission.MediaType), "invalid_parameter")
	refused(t, r.call("submit", "POST", "/v1/messages", block+letter, "Content-Type", "text/plain"), "unsupported_media_type")
}

func TestATokenHandsInAsItsGrantSays(t *testing.T) {
	r := newRig(t, rigOptions{})
	for body, field := range map[string]string{
		"helo_name: x\n" + block:                              "helo_name",
		"sender: a@example.com\nrecipient: b@example.org\n\n": "sender",
		block: "recipient", // example.net is not local
	} {
		if e := refused(t, r.hand("limited", body+letter), "submission_forbidden"); e.Field != field {
			t.Errorf("%q: %+v, want %s", body, e, field)
		}
	}
	local := strings.ReplaceAll(block, "example.net", "example.org")
	refused(t, r.hand("limited", local+letter+strings.Repeat("x", 1000)), "message_too_large")
	good[api.Submitted](t, r.hand("limited", local+letter), 201)
	w := r.hand("limited", local+letter)
	if e := refused(t, w, "rate_limited"); e.RetryAfter < 1 || w.Header().Get("Retry-After") == "" {
		t.Errorf("%+v %v", e, w.Header())
	}
	refused(t, r.hand("read", block+letter), "forbidden")
	refused(t, r.hand("", block+letter), "unauthorized")
	if n := r.queued(); n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
}

func TestAFullQueueTakesNothingForNow(t *testing.T) {
	r := newRig(t, rigOptions{queue: queuetest.NewModel(queuetest.ModelOptions{MaxMessages: 1})})
	r.accept(letter, theFilter)
	w := r.hand("submitter", block+letter)
	refused(t, w, "queue_full")
	if w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestAKeyAnswersTheFirstMessage(t *testing.T) {
	r := newRig(t, rigOptions{})
	hand := func(who string) api.Submitted {
		return good[api.Submitted](t, r.call(who, "POST", "/v1/messages", block+letter, "Content-Type", submission.MediaType, "Idempotency-Key", "k"), 201)
	}
	first, again, other := hand("submit"), hand("submit"), hand("submitter")
	if again.ID != first.ID || !again.Duplicate || other.ID == first.ID {
		t.Errorf("%+v, %+v, %+v", first, again, other)
	}
	if n := r.queued(); n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
	for _, key := range []string{"", strings.Repeat("k", 256)} {
		refused(t, r.call("submit", "POST", "/v1/messages", block+letter, "Content-Type", submission.MediaType, "Idempotency-Key", key), "invalid_parameter")
	}
}

// A body that was cut off is never taken for a whole one.
func TestACutBodyIsNotTaken(t *testing.T) {
	for name, head := range map[string]string{
		"short of its length": "Content-Length: 100000\r\n\r\n" + block + letter,
		"without an end":      fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(block+letter), block+letter),
	} {
		r := newRig(t, rigOptions{})
		addr, _, _, _ := r.run()
		c := dial(t, addr)
		fmt.Fprintf(c, "POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\n%s", r.tokens["submitter"], submission.MediaType, head)
		if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(c)
		if err != nil || strings.Contains(string(answer), " 201 ") {
			t.Errorf("%s: %s, %v", name, answer, err)
		}
		if n := r.queued(); n != 0 {
			t.Errorf("%s: %d messages", name, n)
		}
	}
}

// The status tells each recipient's fate to whoever handed the message in, and
// to operators; to nobody else it tells anything.
func TestTheStatusOfASubmission(t *testing.T) {
	r := newRig(t, rigOptions{})
	body := "sender: <a@example.org>\nrecipient: <b@example.net>\nrecipient: <c@example.net>\n\n"
	res := good[api.Submitted](t, r.hand("submitter", body+letter), 201)
	get := func(who string) api.Submission {
		return good[api.Submission](t, r.call(who, "GET", "/v1/messages/"+res.ID, nil), 200)
	}
	if s := get("submitter"); s.Status != "queued" || len(s.Recipients) != 2 || s.Recipients[0].ID != res.Recipients[0].ID || s.Recipients[0].Status != "queued" {
		t.Errorf("%+v", s)
	}
	refused(t, r.call("submit", "GET", "/v1/messages/"+res.ID, nil), "no_message")
	refused(t, r.call("metrics", "GET", "/v1/messages/"+res.ID, nil), "forbidden")
	refused(t, r.call("submitter", "GET", "/v1/messages/"+strings.Repeat("0", 13), nil), "no_message")

	claims, err := r.q.Claim(t.Context(), queue.ClaimSpec{From: queue.Incoming, Max: 1, Lease: queue.MaxLease})
	if err != nil || len(claims) != 1 {
		t.Fatal(len(claims), err)
	}
	for _, ops := range [][]queue.Op{
		{queue.UpdateRecipients{Updates: []queue.RecipientUpdate{
			{Index: 0, Status: queue.Relayed, Attempted: true, Reply: "250 2.0.0 ok", Remote: "mx.example.net"},
			{Index: 1, Status: queue.Failed, Attempted: true, Reply: "550 5.1.1 nobody", Reported: true},
		}}},
		{queue.Finish{Disposition: queue.Done}},
	} {
		if _, err := r.q.Apply(t.Context(), queue.Txn{Token: claims[0].Token, By: "qmgr", Ops: ops}); err != nil {
			t.Fatal(err)
		}
	}
	s := get("read")
	if s.Status != "done" || s.Recipients[0].Status != "relayed" || s.Recipients[1].Status != "failed" || s.Recipients[1].LastReply != "550 5.1.1 nobody" {
		t.Errorf("%+v", s)
	}
}

// A large message is not held in memory.
func TestALargeMessageIsStreamed(t *testing.T) {
	q := &bottomless{Queue: queuetest.NewModel()}
	r := newRig(t, rigOptions{queue: q})
	const size = 50 << 20
	var most, before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n := 0
	body := readerFunc(func(p []byte) (int, error) {
		if n >= size {
			return 0, io.EOF
		}
		if n%(1<<20) < len(p) {
			runtime.GC()
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			most.HeapAlloc = max(most.HeapAlloc, now.HeapAlloc)
		}
		for i := range p {
			if p[i] = 'x'; (n+i)%70 == 69 {
				p[i] = '\n'
			}
		}
		n += len(p)
		return len(p), nil
	})
	req := httptest.NewRequest("POST", "/v1/messages", io.MultiReader(strings.NewReader(block), body))
	req.ContentLength = -1
	req.Header.Set("Content-Type", submission.MediaType)
	req.Header.Set("Authorization", "Bearer "+r.tokens["submitter"])
	w := httptest.NewRecorder()
	r.s.ServeHTTP(w, req)
	good[api.Submitted](t, w, 201)
	if q.n < size {
		t.Fatalf("%d octets arrived", q.n)
	}
	if used := int64(most.HeapAlloc) - int64(before.HeapAlloc); used > 25<<20 {
		t.Errorf("%d MiB of heap for a message of %d MiB", used>>20, size>>20)
	}
}

// bottomless counts the octets of messages and keeps none.
type bottomless struct {
	queue.Queue
	n    int64
	look func() // at every write; may be nil
}

func (b *bottomless) Create(ctx context.Context, e queue.Envelope, o queue.CreateOptions) (queue.Writer, error) {
	w, err := b.Queue.Create(ctx, e, o)
	return bottomlessWriter{w, b}, err
}

type bottomlessWriter struct {
	queue.Writer
	b *bottomless
}

func (w bottomlessWriter) Write(p []byte) (int, error) {
	w.b.n += int64(len(p))
	if w.b.look != nil {
		w.b.look()
	}
	return len(p), nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
