package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"mtad/filterproto"
)

// gatedConn is a connection that passed the gate. What net/http answers by itself
// to a request that it cannot read, in plain text, leaves it as an error with a code.
type gatedConn struct {
	net.Conn
	leave func()
	// handling: a handler has begun, and its answer may not have left yet. Octets
	// written then are never looked at; they may be those of a message.
	handling atomic.Bool
}

type connKey struct{}

func (c *gatedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// NetConn is the connection inside.
func (c *gatedConn) NetConn() net.Conn { return c.Conn }

// CloseWrite lets a peer that still sends read the answer: closed at once, the
// connection would be reset and the answer lost.
func (c *gatedConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

func (c *gatedConn) Write(b []byte) (int, error) {
	if c.handling.Load() || !bytes.HasPrefix(b, []byte("HTTP/1.1 ")) {
		return c.Conn.Write(b)
	}
	if _, err := c.Conn.Write(coded(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// protocolErrors are the statuses of net/http's own errors.
var protocolErrors = map[int]string{
	http.StatusExpectationFailed:           filterproto.CodeExpectationFailed,
	http.StatusRequestHeaderFieldsTooLarge: filterproto.CodeHeadersTooLarge,
	http.StatusNotImplemented:              filterproto.CodeNotImplemented,
	http.StatusHTTPVersionNotSupported:     filterproto.CodeVersionNotSupported,
}

// coded makes an error of ours of one of net/http's. Its status line says more
// than the status at times: "400 Bad Request: missing required Host header".
func coded(answer []byte) []byte {
	line, _, _ := bytes.Cut(answer, []byte("\r\n"))
	text := string(line[len("HTTP/1.1 "):])
	status, _ := strconv.Atoi(text[:min(3, len(text))])
	if status < 400 {
		return answer
	}
	e := fail(filterproto.CodeMalformedRequest, strings.ToLower(strings.TrimSpace(text[3:])))
	if code, ok := protocolErrors[status]; ok {
		e.Code = code
	} else {
		status = http.StatusBadRequest
	}
	body, _ := json.Marshal(e) // strings alone
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s\n",
		status, http.StatusText(status), len(body)+1, body)
}

// withConn is http.Server.ConnContext.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return withPeer(context.WithValue(ctx, connKey{}, c), c)
}

// handlingBegins marks the connection of a request.
func handlingBegins(r *http.Request) {
	if c, ok := r.Context().Value(connKey{}).(*gatedConn); ok {
		c.handling.Store(true)
	}
}

// connState is http.Server.ConnState: an idle connection's answers have left.
func connState(c net.Conn, state http.ConnState) {
	if g, ok := c.(*gatedConn); ok && state == http.StateIdle {
		g.handling.Store(false)
	}
}
