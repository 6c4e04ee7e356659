package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"mtad/filterproto"
)

// Exit statuses; those from 64 are of sysexits.h.
const (
	exitOK          = 0
	exitFailure     = 1
	exitNoMatch     = 2
	exitUsage       = 64
	exitUnreachable = 69
	exitTemporary   = 75
	exitNotAllowed  = 77
)

// exitError ends the run with a status. An empty msg prints nothing.
type exitError struct {
	status    int
	msg, hint string
}

func (e *exitError) Error() string { return e.msg }

func usage(format string, args ...any) *exitError {
	return &exitError{status: exitUsage, msg: fmt.Sprintf(format, args...)}
}

func (e *exitError) withHint(format string, args ...any) *exitError {
	e.hint = fmt.Sprintf(format, args...)
	return e
}

// answered is what every generated response type can say.
type answered interface {
	StatusCode() int
	GetBody() []byte
	GetJSONDefault() *filterproto.Error
}

// check turns a call's outcome into an error, nil when it went well.
func check(res answered, err error) error {
	if err != nil {
		return callError(err)
	}
	if s := res.StatusCode(); s >= 200 && s < 300 {
		return nil
	}
	if e := res.GetJSONDefault(); e != nil && e.Code != "" {
		return apiError(e, res.StatusCode())
	}
	return statusError(res.StatusCode())
}

// callError is the error of a call that got no answer.
func callError(err error) error {
	var op *net.OpError
	switch {
	case errors.Is(err, context.Canceled):
		return &exitError{status: exitTemporary, msg: "interrupted"}
	case errors.Is(err, context.DeadlineExceeded) || isTimeout(err):
		return (&exitError{status: exitTemporary, msg: "no answer in time"}).withHint("--timeout sets how long to wait")
	case errors.As(err, &op) && op.Op == "dial":
		return (&exitError{status: exitUnreachable, msg: "cannot reach mtad: " + op.Err.Error()}).withHint("is mtad running? --server or MTACTL_SERVER says where it is")
	}
	var e *exitError
	if errors.As(err, &e) {
		return e
	}
	return &exitError{status: exitUnreachable, msg: "no answer from mtad: " + err.Error()}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// apiError is mtad's refusal.
func apiError(e *filterproto.Error, status int) error {
	out := &exitError{status: exitOf(e.Code, status), msg: e.Message}
	if e.QueueID != "" && !strings.Contains(e.Message, e.QueueID) {
		out.msg = e.QueueID + ": " + e.Message
	}
	if e.Message == "" {
		out.msg = e.Code
	}
	switch e.Code {
	case filterproto.CodeNoMessage:
		out.hint = "finished messages are known for a while by 'mtactl trace'"
	case filterproto.CodeUnauthorized:
		out.hint = "give a token with --token-file or MTACTL_TOKEN"
	case filterproto.CodeForbidden:
		out.hint = "the token or user lacks the scope for this"
	case filterproto.CodeLeased:
		out.hint = "--force breaks the lease"
	case filterproto.CodeInvalidFilter:
		out.hint = "'mtactl queue list --help' shows the expressions"
	case filterproto.CodeCountMismatch:
		out.hint = "--dry-run shows what matches now"
	}
	if out.hint == "" && e.RetryAfter > 0 {
		out.hint = fmt.Sprintf("try again in %d s", e.RetryAfter)
	}
	return out
}

// exitOf maps a stable error code, or the HTTP status of one this version does not
// know, to an exit status.
func exitOf(code string, status int) int {
	switch code {
	case filterproto.CodeNoMessage, filterproto.CodeNoJob, filterproto.CodeNoFilter, filterproto.CodeNotFound:
		return exitNoMatch
	case filterproto.CodeInvalidFilter, filterproto.CodeInvalidRequest, filterproto.CodeInvalidParameter, filterproto.CodeUnknownField:
		return exitUsage
	case filterproto.CodeLeased, filterproto.CodeCursorExpired, filterproto.CodeRequestTimeout, filterproto.CodeRateLimited:
		return exitTemporary
	}
	return exitOfStatus(status)
}

func exitOfStatus(status int) int {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return exitNotAllowed
	case status == http.StatusNotFound:
		return exitNoMatch
	case status == http.StatusTooManyRequests || status >= 502:
		return exitTemporary
	}
	return exitFailure
}

func statusError(status int) error {
	return (&exitError{status: exitOfStatus(status), msg: fmt.Sprintf("the server answered %d %s without an error of mtad's", status, http.StatusText(status))}).
		withHint("is this mtad's API? --server says where it is")
}
