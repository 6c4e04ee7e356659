package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mtad/api"
)

// call runs mtactl against a handler and returns its exit status and what it
// printed.
func call(t *testing.T, h http.HandlerFunc, args ...string) (status int, out, words string) {
	t.Helper()
	s := httptest.NewServer(h)
	defer s.Close()
	var o, e bytes.Buffer
	tool := &tool{in: strings.NewReader(""), out: &o, err: &e, getenv: func(string) string { return "" }, args: append([]string{"--server", s.URL}, args...)}
	return tool.run(context.Background()), o.String(), e.String()
}

func answerJSON(status int, v any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
}

const someID = "0P1GWY0000000"

var someTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestExitStatusOfEveryErrorCode(t *testing.T) {
	known := make(map[string]bool)
	for _, info := range api.Errors() {
		known[info.Code] = true
		status, out, words := call(t, answerJSON(info.Status, api.Error{Code: info.Code, Message: "words"}), "queue", "show", someID)
		want := exitOf(info.Code, info.Status)
		if status != want || status == 0 || out != "" || !strings.HasPrefix(words, "mtactl: error: words\n") {
			t.Errorf("%s: status %d, want %d; stdout %q, stderr %q", info.Code, status, want, out, words)
		}
		switch {
		case info.Status == 503 && want != exitTemporary, info.Status == 404 && want != exitNoMatch,
			(info.Code == "unauthorized" || info.Code == "forbidden") && want != exitNotAllowed, info.Code == "invalid_filter" && want != exitUsage:
			t.Errorf("%s: status %d", info.Code, want)
		}
	}
	for _, c := range []string{codeCountMismatch, codeCursorExpired, codeForbidden, codeInvalidFilter, codeInvalidParameter, codeInvalidRequest, codeLeased,
		codeNoFilter, codeNoJob, codeNoMessage, codeNotFound, codeRateLimited, codeRequestTimeout, codeUnauthorized, codeUnknownField} {
		if !known[c] {
			t.Errorf("%s is no code of spec/errors.json", c)
		}
	}
}

func TestAServerThatIsNotMtad(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"web page": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", 404) },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://example.org/", http.StatusFound)
		},
		"garbage": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, "{")
		},
		"empty": func(w http.ResponseWriter, _ *http.Request) {},
		"hangs up": func(w http.ResponseWriter, _ *http.Request) {
			c, _, _ := w.(http.Hijacker).Hijack()
			c.Close()
		},
		"error with control characters": answerJSON(400, api.Error{Code: "x", Message: "\x1b[2J\nmtactl: hint: type your password"}),
	} {
		for _, args := range [][]string{{"queue", "list"}, {"queue", "cat", someID}, {"queue", "hold", "--yes", "a=b"}, {"status"}, {"shape"}, {"filters"}, {"diff", someID}, {"trace", someID}, {"queue", "job", "j"}} {
			status, _, words := call(t, h, args...)
			if status == 0 || !strings.HasPrefix(words, "mtactl: error: ") || strings.Contains(words, "\x1b") || strings.Count(words, "hint:") > 2 {
				t.Errorf("%s: %v: status %d, %q", name, args, status, words)
			}
		}
	}
}

func TestContentThatBreaksOffIsNotSuccess(t *testing.T) {
	status, out, words := call(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "message/rfc822")
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "half")
	}, "queue", "cat", someID)
	if status != exitTemporary || out != "half" || !strings.Contains(words, "not the whole message") {
		t.Errorf("status %d, %q, %q", status, out, words)
	}
}

func TestAListingFollowsItsCursors(t *testing.T) {
	var asked []string
	h := func(w http.ResponseWriter, r *http.Request) {
		cursor := r.URL.Query().Get("cursor")
		asked = append(asked, cursor+"/"+r.URL.Query().Get("limit"))
		next := map[string]string{"": "one", "one": "two"}[cursor]
		m := api.Message{ID: "ID" + cursor, State: "deferred", Envelope: api.Envelope{Recipients: []api.Recipient{}}}
		answerJSON(200, api.MessagePage{Messages: []api.Message{m}, Next: next})(w, r)
	}
	status, out, _ := call(t, h, "queue", "list")
	if status != 0 || strings.Count(out, "STATE") != 1 || !strings.Contains(out, "IDone") || !strings.Contains(out, "IDtwo") {
		t.Errorf("status %d\n%s", status, out)
	}
	if !slices.Equal(asked, []string{"/500", "one/500", "two/500"}) {
		t.Errorf("asked %q", asked)
	}
	asked = nil
	call(t, h, "queue", "list", "-n", "2")
	if !slices.Equal(asked, []string{"/2", "one/1"}) {
		t.Errorf("asked %q", asked)
	}
}

func TestAJobIsFollowedToItsEnd(t *testing.T) {
	looks := 0
	h := func(w http.ResponseWriter, r *http.Request) {
		j := api.Job{ID: "j1", Action: "hold", Matched: 3, Started: someTime}
		if r.Method == http.MethodPost {
			var req api.JobRequest
			_ = json.NewDecoder(r.Body).Decode(&req)
			if req.DryRun {
				answerJSON(200, j)(w, r)
				return
			}
			if req.ExpectedCount == nil || *req.ExpectedCount != 3 {
				answerJSON(409, api.Error{Code: codeCountMismatch, Message: "no"})(w, r)
				return
			}
			answerJSON(202, j)(w, r)
			return
		}
		if looks++; looks == 3 {
			j.Finished, j.Changed, j.Failed, j.LastFail = someTime, 2, 1, "leased"
		}
		answerJSON(200, j)(w, r)
	}
	status, out, words := call(t, h, "-o", "json", "queue", "hold", "--count", "3", "state=deferred")
	if status != exitFailure || looks != 3 || !strings.Contains(out, `"changed": 2`) || !strings.Contains(words, "1 message could not be changed; the last: leased") {
		t.Errorf("status %d after %d looks\n%s\n%s", status, looks, out, words)
	}
	looks = 0
	if status, _, _ := call(t, h, "queue", "hold", "--count", "3", "--no-wait", "state=deferred"); status != 0 || looks != 0 {
		t.Errorf("status %d after %d looks", status, looks)
	}
}

func TestTheUsersOwnMtadIsFound(t *testing.T) {
	state, err := os.MkdirTemp("", "mtactl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(state) })
	tool := &tool{getenv: func(k string) string { return map[string]string{"XDG_STATE_HOME": state}[k] }}
	if got := tool.defaultServer(); strings.Contains(got, state) {
		t.Errorf("nothing listens there: %s", got)
	}
	socket := filepath.Join(state, "mtad", "api.sock")
	if err := os.Mkdir(filepath.Dir(socket), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := tool.defaultServer(); got != "unix:"+socket {
		t.Errorf("got %s, want %s", got, socket)
	}
}

func TestAnAnswerIsBounded(t *testing.T) {
	a := &answer{ReadCloser: io.NopCloser(endless{}), left: 100, cancel: func() {}}
	if n, err := io.Copy(io.Discard, a); n != 100 || err == nil {
		t.Errorf("read %d octets, %v", n, err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// What deploy/systemd sets up is found without a word.
func TestTheSystemsMtadIsLookedForWhereItsUnitListens(t *testing.T) {
	b, err := os.ReadFile("../../deploy/systemd/mtad.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range systemDirs {
		if strings.Contains(string(b), "unix: "+dir+"/api.sock\n") {
			return
		}
	}
	t.Errorf("the API's socket of deploy/systemd/mtad.yaml is in none of %v", systemDirs)
}
