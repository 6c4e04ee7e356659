package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"mtad/api"
	"mtad/filterproto"
)

func (s *Server) routes(o Options) chi.Router {
	root := chi.NewRouter()
	root.NotFound(s.notFound)
	root.MethodNotAllowed(s.methodNotAllowed)
	root.Use(s.authenticate)
	guarded := root.With(s.guard)
	strict := api.NewStrictHandlerWithOptions(handlers{s}, nil, api.StrictHTTPServerOptions{
		RequestErrorHandlerFunc:  s.badRequest,
		ResponseErrorHandlerFunc: s.refuse,
	})
	api.HandlerWithOptions(strict, api.ChiServerOptions{BaseRouter: guarded, ErrorHandlerFunc: s.badParameter})
	var metrics http.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	})
	if o.Gatherer != nil {
		metrics = promhttp.HandlerFor(o.Gatherer, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
	}
	guarded.Method(http.MethodGet, "/metrics", metrics)
	guarded.Method(http.MethodPost, "/v1/messages", http.HandlerFunc(s.createMessage))
	guarded.Method(http.MethodPost, "/v1/messages/batch", http.HandlerFunc(s.createBatch))
	return root
}

// handlers implements the generated interface.
type handlers struct{ *Server }

// outermost bounds the time of bodies and answers, counts, and contains panics.
func (s *Server) outermost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handlingBegins(r)
		q := &request{}
		out := &answer{ResponseWriter: w, rc: http.NewResponseController(w), stall: s.limits.StallTime}
		if r.ContentLength != 0 {
			_ = out.rc.SetReadDeadline(time.Now().Add(s.limits.BodyTime))
		}
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if len(r.TransferEncoding) > 0 {
			// It may have had a Content-Length too, and somebody in front may have gone
			// by that (RFC 9112 §6.1): what follows is not taken for a request.
			h.Set("Connection", "close")
		}
		start := time.Now()
		defer func() {
			broken := s.contain(recover(), out, r)
			s.metrics.served(q.op, out.status, time.Since(start))
			if broken {
				panic(http.ErrAbortHandler) // the peer must not take it for whole
			}
		}()
		inner := r.WithContext(context.WithValue(r.Context(), requestKey{}, q))
		if r.Method == http.MethodHead && (r.URL.Path == "/healthz" || r.URL.Path == "/readyz") {
			inner.Method = http.MethodGet // net/http leaves the body out
		}
		next.ServeHTTP(out, inner)
	})
}

// contain answers for a handler that panicked. broken: an answer had begun and
// has to be broken off.
func (s *Server) contain(p any, out *answer, r *http.Request) (broken bool) {
	if p == nil {
		return false
	}
	if p != http.ErrAbortHandler {
		s.log.LogAttrs(r.Context(), slog.LevelError, "handler panicked",
			slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
		if out.status == 0 {
			writeError(out, fail(filterproto.CodeInternal, "internal error"))
			return false
		}
	}
	return true
}

// answer counts what is answered and gives every write a deadline of its own.
type answer struct {
	http.ResponseWriter
	rc     *http.ResponseController
	stall  time.Duration
	status int
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
		_ = a.rc.SetWriteDeadline(time.Now().Add(a.stall))
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	_ = a.rc.SetWriteDeadline(time.Now().Add(a.stall))
	return a.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (s *Server) notFound(w http.ResponseWriter, _ *http.Request) {
	writeError(w, fail(filterproto.CodeNotFound, "no such resource"))
}

// methodNotAllowed names the methods there are (RFC 9110 §15.5.6).
func (s *Server) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	var allow []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		if s.router.Match(chi.NewRouteContext(), m, r.URL.Path) {
			allow = append(allow, m)
		}
	}
	w.Header().Set("Allow", strings.Join(allow, ", "))
	writeError(w, fail(filterproto.CodeMethodNotAllowed, "the resource has no such method"))
}

// badRequest answers for a body the generated code could not decode. The guard has
// checked it, so what is left is a value the two disagree on.
func (s *Server) badRequest(w http.ResponseWriter, _ *http.Request, _ error) {
	writeError(w, fail(filterproto.CodeInvalidRequest, "the body does not fit the operation"))
}

// badParameter answers for a parameter the generated code could not decode.
func (s *Server) badParameter(w http.ResponseWriter, _ *http.Request, err error) {
	e := fail(filterproto.CodeInvalidParameter, "malformed parameter")
	var format *api.InvalidParamFormatError
	var required *api.RequiredParamError
	switch {
	case errors.As(err, &format):
		e.Field = format.ParamName
	case errors.As(err, &required):
		e.Field, e.Message = required.ParamName, "is required"
	}
	writeError(w, e)
}
