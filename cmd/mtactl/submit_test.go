package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"mtad/api"
)

// submitTo runs "mtactl submit" against a handler.
func submitTo(t *testing.T, h http.HandlerFunc, in io.Reader, args ...string) (status int, out, words string) {
	t.Helper()
	s := httptest.NewServer(h)
	defer s.Close()
	var o, e bytes.Buffer
	tool := &tool{in: in, out: &o, err: &e, getenv: func(string) string { return "" }, args: append([]string{"--server", s.URL, "submit"}, args...)}
	return tool.run(context.Background()), o.String(), e.String()
}

const theInput = "sender: <a@example.org>\nrecipient: <b@example.net>\n\nSubject: x\n"

// taking takes every message and remembers the last one.
type taking struct {
	body, key string
	status    []string // of the message, one after the other
	looks     int
}

func (s *taking) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		m := api.Submission{ID: someID, Status: s.status[min(s.looks, len(s.status)-1)], Recipients: []api.SubmissionRecipient{{Path: "b@example.net", Status: "relayed"}}}
		if m.Status == "failed" {
			m.Status, m.Recipients[0].Status, m.Recipients[0].LastReply = "done", "failed", "550 5.1.1 no"
		}
		s.looks++
		answerJSON(200, m)(w, r)
		return
	}
	b, _ := io.ReadAll(r.Body)
	s.body, s.key = string(b), r.Header.Get("Idempotency-Key")
	answerJSON(201, api.Submitted{ID: someID, Recipients: []api.SubmittedRecipient{}})(w, r)
}

func TestSubmitSendsItsInputAndPrintsTheID(t *testing.T) {
	long := theInput + strings.Repeat("0123456789abcdef", buffered/8)
	for name, c := range map[string]struct {
		in, want string
		args     []string
	}{
		"format":                 {theInput, theInput, nil},
		"CRLF":                   {"a\r\nb", "a\r\nb", nil},
		"long":                   {long, long, nil},
		"flags":                  {"Subject: x\n", "submission_version: 1\nsender: <>\nrecipient: <b@c>\nrecipient: <root>\n\nSubject: x\n", []string{"--from", "<>", "--to", "b@c", "--to", "<root>"}},
		"as large as the buffer": {long[:buffered], long[:buffered], nil},
	} {
		s := &taking{}
		status, out, words := submitTo(t, s.ServeHTTP, iotest.HalfReader(strings.NewReader(c.in)), append(c.args, "--key", "k")...)
		if status != 0 || out != someID+"\n" || words != "" || s.body != c.want || s.key != "k" {
			t.Errorf("%s: status %d, %q, %q; %d octets, key %q", name, status, out, words, len(s.body), s.key)
		}
	}
}

func TestSubmitsCommandLineIsChecked(t *testing.T) {
	for _, args := range [][]string{
		{"x"}, {"--from", "a@b"}, {"--to", "a@b"}, {"--from", "a b", "--to", "c@d"}, {"--from", "a@b", "--to", "<>"}, {"--from", "a@b", "--to", "c@d\nrecipient: e@f"},
		{"--from", "", "--to", "c@d"}, {"--key", ""}, {"--key", strings.Repeat("x", 256)}, {"--wait=ever"}, {"--wait-timeout", "1s"}, {"--wait", "--wait-timeout", "-1s"}, {"--no-such-flag"},
	} {
		status, out, words := submitTo(t, func(http.ResponseWriter, *http.Request) { t.Error("mtad was spoken to") }, strings.NewReader(theInput), args...)
		if status != exitUsage || out != "" || !strings.HasPrefix(words, "mtactl: error: ") {
			t.Errorf("%q: status %d, %q, %q", args, status, out, words)
		}
	}
}

// Each error code has its status, and words in one line.
func TestSubmitsStatusOfEveryErrorCode(t *testing.T) {
	want := map[int][]string{
		exitData:       {"invalid_submission", "message_too_large", "body_too_large", "mail_loop", "idempotency_conflict"},
		exitRefused:    {"message_rejected"},
		exitNotAllowed: {"submission_forbidden", "unauthorized", "forbidden"},
	}
	for _, info := range api.Errors() {
		expect := exitTemporary
		for status, codes := range want {
			if slices.Contains(codes, info.Code) {
				expect = status
			}
		}
		status, out, words := submitTo(t, answerJSON(info.Status, api.Error{Code: info.Code, Message: "two\nlines", Field: "sender", RetryAfter: 3}), strings.NewReader(theInput))
		if status != expect || out != "" || strings.Count(words, "\n") != 1 || !strings.Contains(words, "sender") {
			t.Errorf("%s: status %d, want %d; %q, %q", info.Code, status, expect, out, words)
		}
	}
}

func TestSubmitTrustsNothingButA201(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"200":      answerJSON(200, api.Submitted{ID: someID}),
		"no ID":    answerJSON(201, api.Submitted{}),
		"web page": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusBadGateway) },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://example.org/", http.StatusTemporaryRedirect)
		},
		"half an answer": func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(201)
			io.WriteString(w, `{"id":"`+someID+`"`)
		},
		"hangs up": func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			c, _, _ := w.(http.Hijacker).Hijack()
			c.Close()
		},
	} {
		if status, out, words := submitTo(t, h, strings.NewReader(theInput)); status != exitTemporary || out != "" || strings.Count(words, "\n") != 1 {
			t.Errorf("%s: status %d, %q, %q", name, status, out, words)
		}
	}
}

func TestSubmitWithoutAnMtadIsTemporary(t *testing.T) {
	var e bytes.Buffer
	tool := &tool{in: strings.NewReader(theInput), out: io.Discard, err: &e, getenv: func(string) string { return "" },
		args: []string{"--server", "unix:" + filepath.Join(t.TempDir(), "none"), "submit"}}
	if status := tool.run(context.Background()); status != exitTemporary || strings.Count(e.String(), "\n") != 1 {
		t.Errorf("status %d, %q", status, e.String())
	}
}

func TestSubmitWhoseInputFailsHandsNothingIn(t *testing.T) {
	broken := errors.New("input/output error")
	for name, in := range map[string]string{"at once": "", "soon": theInput, "late": theInput + strings.Repeat("x", 2*buffered)} {
		var whole bool
		status, out, words := submitTo(t, func(w http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(io.Discard, r.Body)
			whole = err == nil
		}, io.MultiReader(strings.NewReader(in), iotest.ErrReader(broken)))
		if status != exitIO || out != "" || !strings.Contains(words, "input/output error") || whole {
			t.Errorf("%s: status %d, %q, %q, whole %v", name, status, out, words, whole)
		}
	}
}

// brokenPipe is an output whose reader is gone.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, net.ErrClosed }

func TestSubmitWhoseOutputIsGoneHasSucceeded(t *testing.T) {
	s := httptest.NewServer(&taking{})
	defer s.Close()
	var e bytes.Buffer
	tool := &tool{in: strings.NewReader(theInput), out: brokenPipe{}, err: &e, getenv: func(string) string { return "" }, args: []string{"--server", s.URL, "submit"}}
	if status := tool.run(context.Background()); status != 0 || !strings.Contains(e.String(), someID) {
		t.Errorf("status %d, %q", status, e.String())
	}
}

func TestSubmitWaitsForTheOutcome(t *testing.T) {
	for name, c := range map[string]struct {
		arg    string
		states []string
		want   int
		looks  int
	}{
		"delivered":          {"--wait", []string{"filtering", "queued", "done"}, 0, 3},
		"filtered":           {"--wait=filtered", []string{"filtering", "queued"}, 0, 2},
		"failed":             {"--wait=delivered", []string{"queued", "failed"}, exitFailed, 2},
		"filtered is enough": {"--wait=filtered", []string{"failed"}, 0, 1},
		"held":               {"--wait", []string{"filtering", "held"}, exitFiltered, 2},
		"discarded":          {"--wait=filtered", []string{"discarded"}, exitFiltered, 1},
		"deleted":            {"--wait", []string{"deleted"}, exitFailed, 1},
	} {
		s := &taking{status: c.states}
		status, out, words := submitTo(t, s.ServeHTTP, strings.NewReader(theInput), c.arg)
		if status != c.want || out != someID+"\n" || s.looks != c.looks || (words == "") != (c.want == 0) {
			t.Errorf("%s: status %d after %d looks, %q, %q", name, status, s.looks, out, words)
		}
	}
	s := &taking{status: []string{"queued"}}
	if status, out, _ := submitTo(t, s.ServeHTTP, strings.NewReader(theInput), "--wait", "--wait-timeout", "30ms"); status != exitWaiting || out != someID+"\n" {
		t.Errorf("without end: status %d, %q", status, out)
	}
	gone := func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			answerJSON(404, api.Error{Code: codeNoMessage, Message: "no such message"})(w, r)
			return
		}
		(&taking{}).ServeHTTP(w, r)
	}
	if status, _, _ := submitTo(t, gone, strings.NewReader(theInput), "--wait"); status != exitWaiting {
		t.Errorf("gone: status %d", status)
	}
}

func TestSubmitPrintsJSON(t *testing.T) {
	_, out, _ := submitTo(t, (&taking{}).ServeHTTP, strings.NewReader(theInput), "-o", "json")
	var m api.Submitted
	if err := json.Unmarshal([]byte(out), &m); err != nil || m.ID != someID {
		t.Errorf("%q, %v", out, err)
	}
}

// Of a user with too many connections some are closed at once: the message is sent
// again, because nothing of it went.
func TestSubmitTriesAgainWhenNothingOfTheMessageWent(t *testing.T) {
	closed := 0
	s := &taking{}
	status, out, words := submitTo(t, func(w http.ResponseWriter, r *http.Request) {
		if closed++; closed < 3 {
			c, _, _ := w.(http.Hijacker).Hijack()
			c.Close()
			return
		}
		s.ServeHTTP(w, r)
	}, strings.NewReader(theInput))
	if status != 0 || out != someID+"\n" || s.body != theInput {
		t.Errorf("status %d, %q, %q; got %q", status, out, words, s.body)
	}
	sent := 0
	status, _, words = submitTo(t, func(w http.ResponseWriter, r *http.Request) {
		sent++
		io.Copy(io.Discard, r.Body)
		c, _, _ := w.(http.Hijacker).Hijack()
		c.Close()
	}, strings.NewReader(theInput))
	if status != exitTemporary || sent != 1 || !strings.Contains(words, "may be in the queue or not") {
		t.Errorf("status %d after %d, %q", status, sent, words)
	}
}
