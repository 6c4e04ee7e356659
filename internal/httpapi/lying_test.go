package httpapi

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"testing"

	"mtad/filterproto"
	"mtad/queue"
)

// A scanner that announces more than it sends, and goes, has not said it: its
// upload is none, and its verdict is not carried out, whole as it may look.
func TestABodyShorterThanAnnouncedIsNone(t *testing.T) {
	r := newRig(t, rigOptions{})
	it := r.accept(letter, theFilter)
	c := r.claim("virus", "virus")
	addr, _, _, _ := r.run()
	verdict, err := json.Marshal(filterproto.VerdictRequest{Verdicts: []filterproto.VerdictEntry{{Token: c.Token, Verdict: filterproto.Verdict{Disposition: filterproto.Discard}}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct{ path, kind, length, body string }{
		"upload":           {"/v1/claims/" + c.Token + "/uploads", "application/octet-stream", "Content-Length: 1000", "short"},
		"upload in chunks": {"/v1/claims/" + c.Token + "/uploads", "application/octet-stream", "Transfer-Encoding: chunked", "5\r\nshort\r\n"},
		"verdict":          {"/v1/claims/verdicts", "application/json", fmt.Sprintf("Content-Length: %d", len(verdict)+10), string(verdict)},
		"verdict in chunks": {"/v1/claims/verdicts", "application/json", "Transfer-Encoding: chunked",
			fmt.Sprintf("%x\r\n%s\r\n", len(verdict), verdict)},
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, addr)
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\n%s\r\n\r\n%s",
				x.path, r.tokens["virus"], x.kind, x.length, x.body)
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err == nil {
				defer res.Body.Close()
				if res.StatusCode < 400 {
					t.Errorf("status %d", res.StatusCode)
				}
			}
			got, err := r.q.Get(t.Context(), it.ID)
			if err != nil || got.State != queue.Unfiltered || len(got.Verdicts) > 0 || len(got.Generations) != 1 {
				t.Errorf("the message is now %+v, %v", got, err)
			}
		})
	}
	// The lease is what it was: the true verdict counts.
	res := good[filterproto.Results](t, r.call("virus", "POST", "/v1/claims/verdicts", filterproto.VerdictRequest{Verdicts: []filterproto.VerdictEntry{{Token: c.Token, Verdict: filterproto.Verdict{Disposition: filterproto.Accept}}}}), 200).Results[0]
	if !res.OK {
		t.Error(res.Error)
	}
}
