package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"mtad/api"
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

// The codes of spec/errors.json that mtactl knows more about than their HTTP status
// says. One that it does not know is judged by that.
const (
	codeCountMismatch    = "count_mismatch"
	codeCursorExpired    = "cursor_expired"
	codeForbidden        = "forbidden"
	codeInvalidFilter    = "invalid_filter"
	codeInvalidParameter = "invalid_parameter"
	codeInvalidRequest   = "invalid_request"
	codeLeased           = "leased"
	codeNoFilter         = "no_filter"
	codeNoJob            = "no_job"
	codeNoMessage        = "no_message"
	codeNoWebhook        = "no_webhook"
	codeNotFound         = "not_found"
	codeRateLimited      = "rate_limited"
	codeRequestTimeout   = "request_timeout"
	codeUnauthorized     = "unauthorized"
	codeUnknownField     = "unknown_field"
)

// exitError ends the run with a status. An empty msg prints nothing.
type exitError struct {
	status    int
	msg, hint string
	// away: mtad is not there, or nobody knows what it did with a message.
	away bool
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
	ContentType() string
	GetBody() []byte
	GetJSONDefault() *api.Error
}

// check turns a call's outcome into an error; nil means that the object of its
// 200 is there.
func check(res answered, err error) error { return checkStatus(res, err, http.StatusOK) }

func checkStatus(res answered, err error, want int) error {
	if err != nil {
		return callError(err)
	}
	if res.StatusCode() == want && strings.Contains(res.ContentType(), "json") {
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
func apiError(e *api.Error, status int) error {
	out := &exitError{status: exitOf(e.Code, status), msg: e.Message}
	if e.QueueID != "" && !strings.Contains(e.Message, e.QueueID) {
		out.msg = e.QueueID + ": " + e.Message
	}
	if e.Message == "" {
		out.msg = e.Code
	}
	switch e.Code {
	case codeNoMessage:
		out.hint = "finished messages are known for a while by 'mtactl trace'"
	case codeUnauthorized:
		out.hint = "give a token with --token-file or MTACTL_TOKEN"
	case codeForbidden:
		out.hint = "the token or user lacks the scope for this"
	case codeLeased:
		out.hint = "--force breaks the lease"
	case codeInvalidFilter:
		out.hint = "'mtactl queue list --help' shows the expressions"
	case codeCountMismatch:
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
	case codeNoMessage, codeNoJob, codeNoFilter, codeNoWebhook, codeNotFound:
		return exitNoMatch
	case codeInvalidFilter, codeInvalidRequest, codeInvalidParameter, codeUnknownField:
		return exitUsage
	case codeLeased, codeCursorExpired, codeRequestTimeout, codeRateLimited:
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
