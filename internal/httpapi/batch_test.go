package httpapi

import (
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"mtad/api"
	"mtad/queue"
)

const twoLetters = `{
	"template": {"from": "a@example.org", "subject": "hi {{name}}", "text": "{{name}} {{ n }} {{}} {{na me}} {{{{n}}", "html": "<b>{{name}}</b>", "headers": {"X-N": "{{n}}"}},
	"messages": [{"to": "b@example.net", "vars": {"name": "<Bob> {{n}}", "n": "1"}}, {"to": "Carol <c@example.com>", "vars": {"name": "Carol", "n": "2"}}]}`

func (r *rig) batch(who, body string, header ...string) []api.BatchResult {
	r.t.Helper()
	return good[api.BatchResults](r.t, r.call(who, "POST", "/v1/messages/batch", body, header...), 200).Results
}

func TestABatchMakesAMessageForEach(t *testing.T) {
	r := newRig(t, rigOptions{})
	res := r.batch("submit", twoLetters)
	if len(res) != 2 || res[0].ID == "" || res[0].ID == res[1].ID || res[1].Recipients[0].Path != "c@example.com" {
		t.Fatalf("%+v", res)
	}
	m := r.letterOf(res[0].ID)
	body, err := io.ReadAll(m.Body)
	if err != nil {
		t.Fatal(err)
	}
	if m.Header.Get("Subject") != "hi <Bob> {{n}}" || m.Header.Get("X-N") != "1" || m.Header.Get("To") != "b@example.net" {
		t.Errorf("%v", m.Header)
	}
	for _, want := range []string{"<Bob> {{n}} 1 {{}} {{na me}} {{1", "<b>&lt;Bob&gt; {{n}}</b>"} {
		if !strings.Contains(string(body), want) {
			t.Errorf("%s\nwant %s", body, want)
		}
	}
	if to := r.letterOf(res[1].ID).Header.Get("To"); to != "Carol <c@example.com>" {
		t.Errorf("To: %s", to)
	}
}

// What one entry is refused for does not touch the others, and a repetition makes
// what is missing alone.
func TestAnEntryOfABatchIsRefusedAlone(t *testing.T) {
	r := newRig(t, rigOptions{})
	body := `{"template": {"from": "a@example.org", "subject": "hi {{name}}", "text": ""}, "messages": [
		{"to": "b@example.net", "vars": {"name": "x"}}, {"to": "nobody", "vars": {"name": "x"}}, {"to": "b@example.net"},
		{"to": "b@example.net", "vars": {"name": "x\r\nBcc: y"}}, {"to": "b@example.net", "vars": {"a b": "x"}}, {"to": "c@example.net", "vars": {"name": "x"}}, {}]}`
	first := r.batch("submit", body, "Idempotency-Key", "k")
	for i, field := range []string{"", "messages[1].to", "messages[2].vars.name", "template.subject", "messages[4].vars", "", "messages[6].vars.name"} {
		if e := first[i].Error; e.Field != field || (e.Code == "") != (first[i].ID != "") {
			t.Errorf("%d: %+v, want %s", i, first[i], field)
		}
	}
	if n := r.queued(); n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
	again := r.batch("submit", body, "Idempotency-Key", "k")
	if again[0].ID != first[0].ID || !again[0].Duplicate || again[5].ID != first[5].ID || again[1].Error.Code == "" || r.queued() != 2 {
		t.Errorf("%+v, %d messages", again, r.queued())
	}
	refused(t, r.call("submit", "POST", "/v1/messages/batch", body+" ", "Idempotency-Key", "k"), "idempotency_conflict")
	if n := r.queued(); n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
	w := r.call("submit", "POST", "/v1/messages/batch", twoLetters, "Idempotency-Key", "l")
	if w.Header().Get("Idempotency-Replayed") != "" {
		t.Error("the first is no repetition")
	}
	w = r.call("submit", "POST", "/v1/messages/batch", twoLetters, "Idempotency-Key", "l")
	if w.Header().Get("Idempotency-Replayed") != "true" || r.queued() != 4 {
		t.Errorf("%v, %d messages", w.Header(), r.queued())
	}
}

func TestABatchThatCannotBe(t *testing.T) {
	entry := `{"to": "b@example.net"}`
	many := entry + strings.Repeat(","+entry, 1000)
	for _, c := range []struct{ body, code, field string }{
		{`{"template": {"from": "a@example.org", "text": ""}, "messages": []}`, "invalid_submission", "messages"},
		{`{"template": {"from": "a@example.org", "text": ""}}`, "invalid_submission", "messages"},
		{`{"template": {"from": "a@example.org", "text": ""}, "messages": [` + many + `]}`, "invalid_submission", "messages"},
		{`{"template": {"from": "a@example.org", "to": "x@y.example", "text": ""}, "messages": [` + entry + `]}`, "invalid_submission", "template.to"},
		{`{"template": {"from": "a@example.org", "bcc": ["x@y.example"], "text": ""}, "messages": [` + entry + `]}`, "invalid_submission", "template.bcc"},
		{`{"template": {"from": "a@example.org", "text": "` + strings.Repeat("x", 200_000) + `"}, "messages": [` + entry + `]}`, "invalid_submission", "template.text"},
		{`{"template": {"from": "a@example.org", "text": ""}, "messages": [{"to": "b@example.net", "cc": "x@y.example"}]}`, "unknown_field", "messages[0].cc"},
		{`{"template": {"from": "a@example.org", "text": ""}, "messages": [{"to": "b@example.net", "vars": {"a": "1", "a": "2"}}]}`, "invalid_request", "messages[0].vars.a"},
	} {
		r := newRig(t, rigOptions{})
		if e := refused(t, r.call("submit", "POST", "/v1/messages/batch", c.body), c.code); e.Field != c.field {
			t.Errorf("%.100s: %+v", c.body, e)
		}
		if n := r.queued(); n != 0 {
			t.Errorf("%d messages", n)
		}
	}
}

func TestABatchThatIsUnderWayHasItsKey(t *testing.T) {
	r := newRig(t, rigOptions{})
	c := &caller{as: "token:submit"}
	end, err := r.door.Begin(c.submitter(httptest.NewRequest("POST", "/", nil)), "k")
	if err != nil {
		t.Fatal(err)
	}
	refused(t, r.call("submit", "POST", "/v1/messages/batch", twoLetters, "Idempotency-Key", "k"), "idempotency_in_progress")
	end()
	r.batch("submit", twoLetters, "Idempotency-Key", "k")
}

func TestAThousandMessagesInABatch(t *testing.T) {
	r := newRig(t, rigOptions{})
	var entries []string
	for i := range maxBatch {
		entries = append(entries, fmt.Sprintf(`{"to": "b%d@example.net", "vars": {"n": "%d"}}`, i, i))
	}
	res := r.batch("submit", `{"template": {"from": "a@example.org", "subject": "{{n}}", "text": ""}, "messages": [`+strings.Join(entries, ",")+"]}")
	for i, x := range res {
		it := r.get(queue.ID(x.ID))
		if want := fmt.Sprintf("b%d@example.net", i); it.Envelope.Recipients[0].Path != want || r.letterOf(x.ID).Header.Get("Subject") != fmt.Sprint(i) {
			t.Fatalf("%d: %+v", i, it.Envelope)
		}
	}
}

// FuzzSubstitute: a value is never looked at for variables, and without any the
// text stays as it is.
func FuzzSubstitute(f *testing.F) {
	f.Add("{{a}} {{ b }} {{{{a}}}} {{", "{{a}}")
	f.Fuzz(func(t *testing.T, text, value string) {
		marked := func(string) string { return "\x00" }
		got, err := substitute(text, map[string]string{"a": value}, marked)
		if err != nil {
			return
		}
		if n := strings.Count(got, "\x00") - strings.Count(text, "\x00"); n < 0 {
			t.Fatalf("%q became %q", text, got)
		}
		if !strings.Contains(text, "{{") && got != text {
			t.Fatalf("%q became %q", text, got)
		}
	})
}
