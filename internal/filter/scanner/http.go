package scanner

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// RoundTrip sends req over t. When the connection ends before an octet of the
// answer came, the error says so to Gone: net/http has errors of its own for
// that which it does not export (as "server closed idle connection").
func RoundTrip(t http.RoundTripper, req *http.Request) (*http.Response, error) {
	var connected, answered atomic.Bool
	trace := &httptrace.ClientTrace{
		GotConn:              func(httptrace.GotConnInfo) { connected.Store(true) },
		GotFirstResponseByte: func() { answered.Store(true) },
	}
	resp, err := t.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if err != nil && connected.Load() && !answered.Load() {
		return nil, fmt.Errorf("no answer: %w (%w)", io.ErrUnexpectedEOF, err)
	}
	return resp, err
}
