package httpapi

import (
	"fmt"
	"io"
	"net/http/httptest"
	"net/mail"
	"slices"
	"strings"
	"testing"

	"mtad/api"
	"mtad/queue"
)

const newLetter = `{"from": "Ann <a@example.org>", "to": "b@example.net", "subject": "hello", "text": "body\n"}`

// describe hands in a message in JSON.
func (r *rig) describe(who, body string, header ...string) api.Submitted {
	r.t.Helper()
	return good[api.Submitted](r.t, r.call(who, "POST", "/v1/messages", body, header...), 201)
}

// letterOf is what became of a message.
func (r *rig) letterOf(id string) *mail.Message {
	r.t.Helper()
	c, err := r.q.Open(r.t.Context(), queue.OpenSpec{ID: queue.ID(id), Generation: -1})
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	if err != nil {
		r.t.Fatal(err)
	}
	m, err := mail.ReadMessage(strings.NewReader(string(b)))
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

func TestAMessageIsMadeOfJSON(t *testing.T) {
	r := newRig(t, rigOptions{})
	res := r.describe("submitter", `{
		"from": {"name": "Änn", "address": "a@example.org"}, "sender": "s@example.org", "reply_to": ["r@example.org"],
		"to": ["Bob <b@example.net>", {"address": "c@BÜCHER.example"}], "cc": "d@example.net", "bcc": ["e@example.net", "b@example.net"],
		"subject": "grüße", "text": "hello\n", "html": "<p>hello",
		"attachments": [{"name": "häuser.txt", "type": "text/plain", "content": "eA=="}],
		"headers": {"X-Second": "2", "X-First": "1"}, "tags": ["a", "b"], "meta": {"order": "17"},
		"envelope": {"mail_from": "bounces@example.org", "envid": "e1", "ret": "headers", "notify": "fail,delay"}}`)
	items, err := r.q.History(t.Context(), queue.ID(res.ID))
	if err != nil {
		t.Fatal(err)
	}
	it, e := items[0], items[0].Envelope
	var rcpt []string
	for _, part := range items {
		for _, p := range part.Envelope.Recipients {
			rcpt = append(rcpt, p.Path)
			if p.Notify != queue.NotifyFailure|queue.NotifyDelay {
				t.Errorf("%s: %v", p.Path, p.Notify)
			}
		}
	}
	slices.Sort(rcpt)
	if got := strings.Join(rcpt, " "); got != "b@example.net c@xn--bcher-kva.example d@example.net e@example.net" || len(res.Recipients) != 4 {
		t.Errorf("recipients %s", got)
	}
	if e.ReversePath != "bounces@example.org" || e.EnvID != "e1" || e.Return != "HDRS" || e.SMTPUTF8 || it.Chain != "in" {
		t.Errorf("%+v", e)
	}
	if it.Meta["tags"] != "a,b" || it.Meta["user.order"] != "17" {
		t.Errorf("%v", it.Meta)
	}
	m := r.letterOf(res.ID)
	for name, want := range map[string]string{
		"Sender": "s@example.org", "Reply-To": "r@example.org", "To": "Bob <b@example.net>, c@xn--bcher-kva.example", "Cc": "d@example.net",
		"Bcc": "", "X-First": "1", "X-Second": "2",
	} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if id := m.Header.Get("Message-Id"); !strings.HasSuffix(id, "@mx.example.org>") || m.Header.Get("Date") == "" {
		t.Errorf("%v", m.Header)
	}
}

func TestAnAddressOutsideOfASCIINeedsSMTPUTF8(t *testing.T) {
	r := newRig(t, rigOptions{})
	for body, want := range map[string]bool{
		newLetter: false,
		`{"from": "a@bücher.example", "to": "b@x.example", "text": ""}`:                         false,
		`{"from": "a@x.example", "to": "gr\u00e5@x.example", "text": ""}`:                       true,
		`{"from": "a@x.example", "to": "b@x.example", "reply_to": "grå@x.example", "text": ""}`: true,
	} {
		if it := r.get(queue.ID(r.describe("submit", body).ID)); it.Envelope.SMTPUTF8 != want {
			t.Errorf("%s: %v", body, it.Envelope.SMTPUTF8)
		}
	}
}

func TestWhatIsWrongInJSONIsNamed(t *testing.T) {
	body := func(more string) string {
		return `{"from": "a@b.example", "to": "c@d.example", "text": "x"` + more + "}"
	}
	for _, c := range []struct{ body, code, field string }{
		{`{"to": "c@d.example", "text": "x"}`, "invalid_submission", "from"},
		{`{"from": "a@b.example", "text": "x"}`, "invalid_submission", "to"},
		{`{"from": "a@b.example", "to": "c@d.example"}`, "invalid_submission", "text"},
		{`{"from": "a@b.example\r\nBcc: x@y", "to": "c@d.example", "text": "x"}`, "invalid_submission", "from"},
		{`{"from": {"name": "A\r\nBcc: x@y", "address": "a@b.example"}, "to": "c@d.example", "text": "x"}`, "invalid_submission", "from"},
		{`{"from": {"name": "A"}, "to": "c@d.example", "text": "x"}`, "invalid_submission", "from"},
		{`{"from": {}, "to": "c@d.example", "text": "x"}`, "invalid_submission", "from"},
		{`{"from": "a@b.example", "to": ["c@d.example", "e@f>\r\nDATA"], "text": "x"}`, "invalid_submission", "to[1]"},
		{`{"from": "a@b.example", "to": [null], "text": "x"}`, "invalid_submission", "to[0]"},
		{`{"from": "a@b.example", "to": "<>", "text": "x"}`, "invalid_submission", "to"},
		{body(`, "cc": ["x\u0000@y"]`), "invalid_submission", "cc[0]"},
		{body(`, "bcc": [{"address": "x@y z"}]`), "invalid_submission", "bcc[0]"},
		{body(`, "reply_to": "x@y\nz"`), "invalid_submission", "reply_to"},
		{body(`, "sender": "x\n@y"`), "invalid_submission", "sender"},
		{body(`, "subject": "x\r\nBcc: y"`), "invalid_submission", "subject"},
		{body(`, "headers": {"X-A": "x\r\nBcc: y"}`), "invalid_submission", "headers.X-A"},
		{body(`, "headers": {"X-A\r\nBcc": "x"}`), "invalid_submission", "headers.X-A??Bcc"},
		{body(`, "headers": [{"name": "X-A", "value": "x"}, {"name": "Bcc", "value": "x"}]`), "invalid_submission", "headers[1].name"},
		{body(`, "attachments": [{"content": "eA=="}, {"content": "eA==", "name": "a\nb"}]`), "invalid_submission", "attachments[1].name"},
		{body(`, "attachments": [{"name": "/etc/passwd", "content": "eA=="}]`), "invalid_submission", "attachments[0].name"},
		{body(`, "attachments": [{"content": "%%%"}]`), "invalid_submission", "attachments[0].content"},
		{body(`, "attachments": [{}]`), "invalid_submission", "attachments[0].content"},
		{body(`, "envelope": {"mail_from": "x@y> SIZE=1"}`), "invalid_submission", "envelope.mail_from"},
		{body(`, "envelope": {"mail_from": "x@y\r\nRCPT TO:<z>"}`), "invalid_submission", "envelope.mail_from"},
		{body(`, "envelope": {"envid": "a b"}`), "invalid_submission", "envelope.envid"},
		{body(`, "envelope": {"ret": "FULL\r\n"}`), "invalid_submission", "envelope.ret"},
		{body(`, "envelope": {"notify": "always"}`), "invalid_submission", "envelope.notify"},
		{body(`, "tags": ["a,b"]`), "invalid_submission", "tags[0]"},
		{body(`, "meta": {"a b": "c"}`), "invalid_submission", "meta.a b"},
		{body(`, "meta": {"a": "c\nd"}`), "invalid_submission", "meta.a"},
		{body(`, "chain": "other"`), "submission_forbidden", "chain"},
		{body(`, "bbc": "x@y"`), "unknown_field", "bbc"},
		{body(`, "envelope": {"to": "x@y"}`), "unknown_field", "envelope.to"},
		{body(`, "From": "x@y.example"`), "unknown_field", "From"},
		{body(`, "from": "x@y.example"`), "invalid_request", "from"},
		{body(`, "headers": {"X-A": "1", "X-A": "2"}`), "invalid_request", "headers.X-A"},
		{body(`, "subject": 1e999999`), "invalid_request", "subject"},
		{body(`, "to": ["x@y.example"]`), "invalid_request", "to"},
		{body(`, "cc": 7`), "invalid_request", "cc"},
		{body(`, "cc": [[["x@y.example"]]]`), "invalid_request", "cc[0]"},
		{body(`, "subject": ` + strings.Repeat("[", 100000)), "invalid_request", "subject"},
		{body(`, "subject": "\ud800"`), "invalid_json", ""},
		{body(`, "subject": "\udc00\ud800"`), "invalid_json", ""},
		{body(`, "subject": "\ud800\u0041"`), "invalid_json", ""},
		{body(`, "subject": "` + "\xff" + `"`), "invalid_json", ""},
		{body(`, "subject": "\x"`), "invalid_json", ""},
		{body(`, "subject": "a` + "\n" + `b"`), "invalid_json", ""},
		{body(`, "subject": "` + strings.Repeat("x", 100_000) + `"`), "invalid_submission", "subject"},
		{body(`, "chain": "` + strings.Repeat("x", 100_000) + `"`), "submission_forbidden", "chain"},
		{body(`, "tags": ["` + strings.Repeat("x", 100_000) + `"]`), "invalid_submission", "tags[0]"},
		{`{"from": "a@b.example", "to": ["` + strings.Repeat("x", 100_000) + `@y"], "text": "x"}`, "invalid_submission", "to[0]"},
		{newLetter + newLetter, "invalid_json", ""},
		{newLetter[:len(newLetter)-1], "invalid_json", ""},
		{`{"from": "a`, "invalid_json", ""},
		{`"a"`, "invalid_request", ""},
		{`null`, "invalid_request", ""},
		{``, "invalid_json", ""},
		{`{"from": "a@b.example", "to": [` + strings.Repeat(`"c@d.example",`, 1_000_000) + `"c@d.example"], "text": "x"}`, "body_too_large", ""},
		{body(`, "attachments": [{"content": "eA=="` + strings.Repeat(`},{"content": "eA=="`, 200) + "}]"), "invalid_submission", "attachments"},
	} {
		r := newRig(t, rigOptions{})
		if e := refused(t, r.call("submit", "POST", "/v1/messages", c.body), c.code); e.Field != c.field || strings.ContainsAny(e.Message+e.Field, "\r\n\x00") {
			t.Errorf("%.150s: %+v, want field %q", c.body, e, c.field)
		}
		if n := r.queued(); n != 0 {
			t.Errorf("%.150s: %d messages were kept", c.body, n)
		}
	}
	r := newRig(t, rigOptions{})
	var many []string
	for i := range 1001 {
		many = append(many, fmt.Sprintf(`"%d@d.example"`, i))
	}
	refused(t, r.call("submit", "POST", "/v1/messages", `{"from": "a@b.example", "text": "", "to": [`+strings.Join(many, ",")+"]}"), "message_too_large")
	refused(t, r.call("submit", "POST", "/v1/messages", newLetter, "Content-Encoding", "gzip"), "unsupported_media_type")
	refused(t, r.call("submit", "POST", "/v1/messages?from=x@y", newLetter), "invalid_parameter")
}

// What a token may use as sender holds for From and Sender too, in any form.
func TestASenderIsBoundInFromToo(t *testing.T) {
	for body, field := range map[string]string{
		`{"from": "a@example.com", "to": "b@example.org", "text": "", "envelope": {"mail_from": "a@example.org"}}`: "from",
		`{"from": "a@example.org", "sender": "a@example.com", "to": "b@example.org", "text": ""}`:                  "sender",
		`{"from": "a@example.org", "to": "b@example.org", "text": "", "envelope": {"mail_from": "a@example.com"}}`: "sender",
		`{"from": "a@example.org", "to": "b@example.net", "text": ""}`:                                             "recipient",
	} {
		r := newRig(t, rigOptions{})
		if e := refused(t, r.call("limited", "POST", "/v1/messages", body), "submission_forbidden"); e.Field != field {
			t.Errorf("%s: %+v", body, e)
		}
	}
	for _, raw := range []string{"From: a@example.com\r\n\r\n", "Subject: x\r\n\r\n", "From: a@example.org, b@example.com\r\n\r\n", "From: x\r\n\r\n", "From: a@example.org\r\nFrom: a@example.com\r\n\r\n", "\r\nFrom: a@example.org\r\n"} {
		r := newRig(t, rigOptions{})
		w := r.call("limited", "POST", "/v1/messages?from=a@example.org&to=b@example.org", raw, "Content-Type", "message/rfc822")
		if e := refused(t, w, "submission_forbidden"); e.Field != "from" {
			t.Errorf("%q: %+v", raw, e)
		}
		if n := r.queued(); n != 0 {
			t.Errorf("%q: %d messages were kept", raw, n)
		}
	}
}

func TestAKeyIsForOneRequest(t *testing.T) {
	const query = "/v1/messages?from=a@example.org&to=b@example.net"
	raw := []string{"Content-Type", "message/rfc822", "Idempotency-Key", "k"}
	for name, c := range map[string]struct {
		path, body, otherPath, other string
		header                       []string
	}{
		"raw body":    {query, letter, query, letter + "x", raw},
		"envelope":    {query, letter, query + "&to=c@example.net", letter, raw},
		"JSON":        {"/v1/messages", newLetter, "/v1/messages", newLetter + " ", []string{"Idempotency-Key", "k"}},
		"media type":  {"/v1/messages", newLetter, query, newLetter, []string{"Idempotency-Key", "k"}},
		"large body":  {query, letter + strings.Repeat("x\n", 1<<20), query, letter + strings.Repeat("x\n", 1<<20) + "y", raw},
		"emptier one": {query, letter, query, "x", raw},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigOptions{})
			w := r.call("submit", "POST", c.path, c.body, c.header...)
			first := good[api.Submitted](t, w, 201)
			if w.Header().Get("Idempotency-Replayed") != "" {
				t.Error("the first answer is no repetition")
			}
			w = r.call("submit", "POST", c.path, c.body, c.header...)
			again := good[api.Submitted](t, w, 201)
			if again.ID != first.ID || len(again.Recipients) != 1 || again.Recipients[0] != first.Recipients[0] || w.Header().Get("Idempotency-Replayed") != "true" {
				t.Errorf("%+v, then %+v, %v", first, again, w.Header())
			}
			header := c.header
			if name == "media type" {
				header = raw
			}
			refused(t, r.call("submit", "POST", c.otherPath, c.other, header...), "idempotency_conflict")
			good[api.Submitted](t, r.call("submitter", "POST", c.otherPath, c.other, header...), 201)
			if n := r.queued(); n != 2 {
				t.Errorf("%d messages, want 2", n)
			}
		})
	}
}

// busy begins a request with a key, of the caller submit. end cuts it off.
func (r *rig) busy(key string) (end func() *httptest.ResponseRecorder) {
	r.t.Helper()
	pr, pw := io.Pipe()
	req := httptest.NewRequest("POST", "/v1/messages?from=a@example.org&to=b@example.net", pr)
	for name, v := range map[string]string{"Content-Type": "message/rfc822", "Idempotency-Key": key, "Authorization": "Bearer " + r.tokens["submit"]} {
		req.Header.Set(name, v)
	}
	done := make(chan *httptest.ResponseRecorder)
	go func() {
		w := httptest.NewRecorder()
		r.s.ServeHTTP(w, req)
		done <- w
	}()
	if _, err := io.WriteString(pw, letter); err != nil { // it is read: the request is under way
		r.t.Fatal(err)
	}
	return func() *httptest.ResponseRecorder {
		pw.CloseWithError(io.ErrUnexpectedEOF)
		return <-done
	}
}

// While the first request is under way a second one with its key is told so, and
// the key is free again when the first comes to nothing.
func TestAKeyIsBusyWhileItsRequestIsUnderWay(t *testing.T) {
	r := newRig(t, rigOptions{})
	end := r.busy("k")
	w := r.call("submit", "POST", "/v1/messages", newLetter, "Idempotency-Key", "k")
	if e := refused(t, w, "idempotency_in_progress"); e.RetryAfter == 0 || w.Header().Get("Retry-After") == "" {
		t.Errorf("%+v", e)
	}
	refused(t, end(), "invalid_request")
	r.describe("submit", newLetter, "Idempotency-Key", "k")
}

// What is too large by its own word is refused before a reader looks at it.
func TestALengthThatIsTooLargeIsRefusedUnread(t *testing.T) {
	for media, path := range map[string]string{"application/json": "/v1/messages", "message/rfc822": "/v1/messages?from=a@example.org&to=b@example.org"} {
		r := newRig(t, rigOptions{})
		req := httptest.NewRequest("POST", path, readerFunc(func([]byte) (int, error) {
			t.Errorf("%s: the body is read", media)
			return 0, io.EOF
		}))
		req.ContentLength = 100 << 20
		req.Header.Set("Content-Type", media)
		req.Header.Set("Authorization", "Bearer "+r.tokens["limited"])
		w := httptest.NewRecorder()
		r.s.ServeHTTP(w, req)
		refused(t, w, "message_too_large")
	}
}
