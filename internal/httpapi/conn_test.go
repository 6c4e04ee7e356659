package httpapi

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"mtad/filterproto"
)

// unreadable are requests that net/http refuses before any handler sees them, by code.
var unreadable = map[string]string{
	filterproto.CodeMalformedRequest:    "GET /healthz HTTP/1.1\r\n\r\n",
	filterproto.CodeNotImplemented:      "POST /v1/claims/renew HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
	filterproto.CodeExpectationFailed:   "GET /healthz HTTP/1.1\r\nHost: a\r\nExpect: a-miracle\r\n\r\n",
	filterproto.CodeVersionNotSupported: "GET /healthz HTTP/3.0\r\nHost: a\r\n\r\n",
	filterproto.CodeHeadersTooLarge:     "GET /healthz HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", 1<<16) + "\r\n",
}

func TestTheSecondRequestOfAConnectionGetsItsCodeToo(t *testing.T) {
	addr, _, _, _ := newRig(t, rigOptions{}).run()
	for code, request := range unreadable {
		c := dial(t, addr)
		answers := bufio.NewReader(c)
		io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
		res, err := http.ReadResponse(answers, nil)
		if err != nil || res.StatusCode != 200 {
			t.Fatal(res, err)
		}
		io.Copy(io.Discard, res.Body)
		go io.WriteString(c, request)
		if res, err = http.ReadResponse(answers, nil); err != nil {
			t.Errorf("%s: %v", code, err)
			continue
		}
		var e filterproto.Error
		if err := json.NewDecoder(res.Body).Decode(&e); err != nil || e.Code != code {
			t.Errorf("%s: %+v %v", code, e, err)
		}
	}
}

func TestWhatIsNoRequestIsCalledMalformed(t *testing.T) {
	addr, _, _, _ := newRig(t, rigOptions{}).run()
	for _, request := range []string{
		"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"GET /healthz\r\n\r\n",
		"EHLO x\r\n\r\n",
		"POST /v1/claims/renew HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
		"GET /healthz HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
		"GET /health\x00z HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		c := dial(t, addr)
		io.WriteString(c, request)
		b, err := io.ReadAll(c)
		if err != nil || !strings.Contains(string(b), `{"code":"malformed_request"`) {
			t.Errorf("%q: %q %v", request, b, err)
		}
	}
}

// Somebody in front who goes by the Content-Length takes what follows the last
// chunk for a part of the body: it must not be served.
func TestNothingIsServedBehindAChunkedBody(t *testing.T) {
	r := newRig(t, rigOptions{})
	addr, _, _, _ := r.run()
	c := dial(t, addr)
	fmt.Fprintf(c, "POST /v1/filters/virus/claims HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"+
		"Content-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", r.tokens["virus"])
	b, err := io.ReadAll(c)
	if err != nil || strings.Count(string(b), "HTTP/1.1 ") != 1 {
		t.Errorf("%q %v, want one answer and the end", b, err)
	}
}

// Octets of a message are never taken for an answer of net/http's.
func TestContentThatLooksLikeAnAnswerPassesAsItIs(t *testing.T) {
	r := newRig(t, rigOptions{})
	answer := "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request"
	text := strings.Repeat(answer+strings.Repeat("x", 4096-len(answer)), 64)
	it := r.accept(text, theFilter)
	addr, _, _, _ := r.run()
	for range 2 {
		req, err := http.NewRequest("GET", "http://"+addr+"/v1/queue/messages/"+string(it.ID)+"/content", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+r.tokens["read"])
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		if res.Body.Close(); err != nil || string(got) != text {
			t.Fatalf("%d octets of %d, %v", len(got), len(text), err)
		}
	}
}

func TestProbesMayAskWithHead(t *testing.T) {
	addr, _, _, _ := newRig(t, rigOptions{}).run()
	for _, path := range []string{"/healthz", "/readyz"} {
		res, err := http.Head("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(res.Body); res.Body.Close() != nil || res.StatusCode != 200 || len(b) > 0 || err != nil {
			t.Errorf("%s: %d %q %v", path, res.StatusCode, b, err)
		}
	}
}
