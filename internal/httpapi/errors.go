package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"

	"mtad/api"
	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/queue"
)

// fail makes the error a caller sees.
func fail(code, message string) *filterproto.Error {
	return &filterproto.Error{Code: code, Message: message}
}

// failField is fail about one field.
func failField(code, field, message string) *filterproto.Error {
	return &filterproto.Error{Code: code, Message: message, Field: field}
}

// causes maps the queue's errors. The order matters where one wraps another.
var causes = []struct {
	err           error
	code, message string
	retry         int
}{
	{filter.ErrNoFilter, filterproto.CodeNoFilter, "no such filter", 0},
	{queue.ErrLeaseLost, filterproto.CodeLeaseLost, "the lease is lost", 0},
	{queue.ErrNotFound, filterproto.CodeNoMessage, "no such message", 0},
	{queue.ErrConflict, filterproto.CodeConflict, "changed by somebody else, or not possible now", 0},
	{queue.ErrUncertain, filterproto.CodeUncertain, "the change may or may not have happened", 1},
	{queue.ErrHighWater, filterproto.CodeQueueFull, "too much mail waits", 30},
	{queue.ErrFull, filterproto.CodeStorageFull, "insufficient system storage", 30},
	{queue.ErrTooLarge, filterproto.CodeMessageTooLarge, "a bound of the message is exceeded", 0},
	{queue.ErrCorrupt, filterproto.CodeCorrupt, "stored octets are damaged; the message is set aside", 0},
	{queue.ErrExpired, filterproto.CodeCursorExpired, "too old to be continued; begin again", 0},
	{queue.ErrInvalid, filterproto.CodeInvalidRequest, "the request does not fit the message", 0},
	{queue.ErrUnavailable, filterproto.CodeUnavailable, "the store cannot answer now", 5},
}

// errorOf turns any error into what the caller is told. known is false for one
// that nobody classified: its text belongs into the log.
func errorOf(err error) (e *filterproto.Error, known bool) {
	if errors.As(err, &e) {
		return e, true
	}
	var ve *filter.VerdictError
	if errors.As(err, &ve) {
		return failField(ve.Code, verdictField(ve.Field), ve.Detail), true
	}
	var dup *queue.DuplicateError
	if errors.As(err, &dup) {
		e = fail(filterproto.CodeAlreadyAccepted, "accepted before")
		e.QueueID = string(dup.ID)
		return e, true
	}
	for _, c := range causes {
		if errors.Is(err, c.err) {
			e = fail(c.code, c.message)
			e.RetryAfter = c.retry
			return e, true
		}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		e = fail(filterproto.CodeUnavailable, "gave up waiting")
		e.RetryAfter = 1
		return e, true
	}
	return fail(filterproto.CodeInternal, "internal error"), false
}

func verdictField(f string) string {
	if f == "" {
		return "verdict"
	}
	return "verdict." + f
}

// about adds the queue ID to an error.
func about(id queue.ID, err error) error {
	e, known := errorOf(err)
	if !known {
		return fmt.Errorf("%s: %w", id, err)
	}
	c := *e
	c.QueueID = string(id)
	return &c
}

// refuse answers with an error.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	e, known := errorOf(err)
	if !known {
		s.log.LogAttrs(r.Context(), slog.LevelError, "request failed",
			slog.String("operation", operationOf(r).ID), slog.Any("error", err))
	}
	writeError(w, e)
}

func writeError(w http.ResponseWriter, e *filterproto.Error) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Del("Content-Length")
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(e.RetryAfter))
	}
	if e.Code == filterproto.CodeUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="mtad"`)
	}
	w.WriteHeader(api.StatusOf(e.Code))
	_ = json.NewEncoder(w).Encode(e) // the peer may be gone; nobody is left to tell
}
