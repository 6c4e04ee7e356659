package httpapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/go-chi/chi/v5"

	"mtad/filterproto"
)

// guard stands between the router and a handler: what passes has the scope, known
// parameters, and a body of the right type and size, already read when it is JSON.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		op := s.operations[r.Method+" "+chi.RouteContext(r.Context()).RoutePattern()]
		if op == nil || r.URL.RawPath != "" {
			s.notFound(w, r)
			return
		}
		requestOfRouter(r).op = op
		if err := s.check(op, w, r); err != nil {
			writeError(w, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func requestOfRouter(r *http.Request) *request {
	return r.Context().Value(requestKey{}).(*request)
}

func (s *Server) check(op *operation, w http.ResponseWriter, r *http.Request) *filterproto.Error {
	if err := s.authorize(op, r); err != nil {
		return err
	}
	if err := op.checkQuery(r.URL.RawQuery); err != nil {
		return err
	}
	accept, ok := op.negotiate(r.Header.Values("Accept"))
	if !ok {
		return fail(filterproto.CodeNotAcceptable, "this answers in another media type")
	}
	requestOfRouter(r).accept = accept
	if len(op.Consumes) == 0 {
		if r.ContentLength != 0 {
			return fail(filterproto.CodeBodyTooLarge, "this takes no body")
		}
		return nil
	}
	if !op.consumes(r.Header.Get("Content-Type")) || r.Header.Get("Content-Encoding") != "" {
		return fail(filterproto.CodeUnsupportedMediaType, "want "+op.Consumes[0])
	}
	if op.body == nil {
		return s.stream(op, w, r)
	}
	return s.readJSON(op, w, r)
}

// readJSON reads a body, bounded in size and time, checks it, and leaves it to be
// decoded.
func (s *Server) readJSON(op *operation, w http.ResponseWriter, r *http.Request) *filterproto.Error {
	tooLarge := fail(filterproto.CodeBodyTooLarge, "the body is too large")
	if r.ContentLength > op.MaxBody {
		return tooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, op.MaxBody))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return tooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fail(filterproto.CodeRequestTimeout, "the body came too slowly")
	case err != nil:
		return fail(filterproto.CodeInvalidJSON, "the body ended early")
	}
	// From here on the connection is watched for the peer's going away, by a read
	// that must not time out.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	if err := checkJSON(&s.fields, body, op.body); err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// stream bounds a body that is not kept in memory.
func (s *Server) stream(op *operation, w http.ResponseWriter, r *http.Request) *filterproto.Error {
	limits := s.limits
	if op.Scope == ScopeSubmit {
		limits.MaxUpload = max(limits.MaxUpload, maxMessage) // the grant has the message's bound
		if callerOf(r.Context()).local {
			// A program of this machine writes when it has something to say.
			limits.StallTime, limits.MinRate = max(limits.StallTime, localStall), 0
		}
	}
	if r.ContentLength > limits.MaxUpload {
		return fail(filterproto.CodeBodyTooLarge, "the upload is too large")
	}
	body := &paced{ReadCloser: r.Body, rc: http.NewResponseController(w), limits: limits, start: time.Now()}
	r.Body = http.MaxBytesReader(w, body, limits.MaxUpload)
	return nil
}
