package scanner

import (
	"errors"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
)

// tripper answers as net/http does at one point of an exchange.
type tripper func(*httptrace.ClientTrace) error

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, f(httptrace.ContextClientTrace(r.Context()))
}

func TestConnectionThatEndsBeforeAnAnswerIsGone(t *testing.T) {
	unnamed := errors.New("an error that is not exported")
	for _, tt := range []struct {
		name string
		at   tripper
		want bool
	}{
		{"before a connection", func(*httptrace.ClientTrace) error { return unnamed }, false},
		{"before an answer", func(c *httptrace.ClientTrace) error { c.GotConn(httptrace.GotConnInfo{}); return unnamed }, true},
		{"within an answer", func(c *httptrace.ClientTrace) error {
			c.GotConn(httptrace.GotConnInfo{})
			c.GotFirstResponseByte()
			return unnamed
		}, false},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://scanner/", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = RoundTrip(tt.at, req)
		if !errors.Is(err, unnamed) {
			t.Errorf("%s: got %v, want the cause kept", tt.name, err)
		}
		if Gone(err) != tt.want {
			t.Errorf("%s: gone is %t, want %t: %v", tt.name, Gone(err), tt.want, err)
		}
	}
}
