package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"time"

	"mtad/internal/smtp"
)

// MaxLine is what a line of the dialogue may have in octets with CRLF (RFC 4954
// §4).
const MaxLine = 12288

// ErrLineTooLong: a line of the dialogue was longer than MaxLine, and is gone.
var ErrLineTooLong = errors.New("auth: line too long")

// Service runs the AUTH command over a Backend. Its methods are safe for
// concurrent use; its fields are not changed once it is in use.
type Service struct {
	Backend Backend
	Guard   *Guard // nil: nobody is slowed down
	// Failures is how many attempts of a session may fail; the last one ends it.
	// 0 stands for 3.
	Failures int
	// Wait pauses, and ends early with an error when ctx ends; nil uses the clock.
	Wait   func(ctx context.Context, d time.Duration) error
	Logger *slog.Logger
	// Observe is told the outcome of each attempt: a mechanism that exists, or
	// "other", and one of Outcomes.
	Observe func(mechanism, outcome string)
}

// Outcomes are the words that Observe gets.
func Outcomes() []string {
	return []string{"passed", "refused", "cancelled", "syntax", "error", "barred"}
}

// Session is what a Service knows of one connection.
type Session struct {
	Peer   Peer
	failed int
}

// Ask sends a challenge and returns the client's line without its end.
type Ask func(challenge string) (string, error)

// Keyword is the line for the reply to EHLO, "" when there is nothing to offer.
func (s *Service) Keyword(ctx context.Context, p *Peer) string {
	if names := s.Backend.Mechanisms(ctx, p); len(names) > 0 {
		return "AUTH " + strings.Join(names, " ")
	}
	return ""
}

// The replies of RFC 4954 §4 and §6. Never changed.
var (
	passed      = smtp.Reply{Code: 235, Enhanced: "2.7.0", Text: "authentication successful"}
	refused     = smtp.Reply{Code: 535, Enhanced: "5.7.8", Text: "authentication credentials invalid"}
	refusedLast = smtp.Reply{Code: 421, Enhanced: "4.7.0", Text: "too many failed logins, closing"}
	barred      = smtp.Reply{Code: 421, Enhanced: "4.7.0", Text: "too many failed logins from your address, try again later"}
	cancelled   = smtp.Reply{Code: 501, Enhanced: "5.7.0", Text: "authentication cancelled"}
	notBase64   = smtp.Reply{Code: 501, Enhanced: "5.5.2", Text: "not base64"}
	badMessage  = smtp.Reply{Code: 501, Enhanced: "5.5.2", Text: "that is not how this mechanism goes"}
	noMechanism = smtp.Reply{Code: 504, Enhanced: "5.5.4", Text: "mechanism not supported"}
	wantName    = smtp.Reply{Code: 501, Enhanced: "5.5.4", Text: "syntax: AUTH mechanism [initial-response]"}
	tooLong     = smtp.Reply{Code: 500, Enhanced: "5.5.6", Text: "authentication exchange line is too long"}
	trouble     = smtp.Reply{Code: 454, Enhanced: "4.7.0", Text: "temporary authentication failure"}
)

// Serve runs the command AUTH with its argument. With a positive reply the
// client is login; a reply with code 421 ends the session. An error of ask other
// than ErrLineTooLong ends the dialogue: then nobody hears the reply.
func (s *Service) Serve(ctx context.Context, x *Session, arg string, ask Ask) (login, mechanism string, reply smtp.Reply) {
	mechanism, initial, hasInitial := strings.Cut(arg, " ")
	mechanism = strings.ToUpper(mechanism)
	switch {
	case mechanism == "" || hasInitial && initial == "":
		return "", "", wantName
	case s.Guard != nil && s.Guard.Barred(x.Peer.Addr):
		s.observe("other", "barred")
		return "", "", barred
	}
	p := x.Peer
	attempted := false
	p.Attempt = func(ctx context.Context, login string) error {
		attempted = true
		return s.attempt(ctx, x, login)
	}
	exchange, err := s.Backend.Begin(ctx, mechanism, &p)
	if errors.Is(err, ErrMechanism) {
		return "", "", noMechanism
	}
	if err != nil {
		s.observe("other", "error")
		s.log(x, "other", "", "error", err)
		return "", "", trouble
	}
	defer exchange.Close()
	d := &dialogue{ask: ask}
	if hasInitial {
		d.initial = &initial
	}
	if err = s.address(ctx, x); err == nil {
		err = d.run(ctx, exchange)
	}
	claimed := exchange.Login()
	reply = s.conclude(x, mechanism, claimed, attempted, err)
	if reply.Code != passed.Code {
		return "", "", reply
	}
	return claimed, mechanism, reply
}

// address notes the attempt, and makes who failed before wait.
func (s *Service) address(ctx context.Context, x *Session) error {
	if s.Guard == nil {
		return nil
	}
	return s.wait(ctx, s.Guard.Address(x.Peer.Addr))
}

func (s *Service) attempt(ctx context.Context, x *Session, login string) error {
	if s.Guard == nil {
		return nil
	}
	return s.wait(ctx, s.Guard.Login(x.Peer.Addr, login))
}

func (s *Service) wait(ctx context.Context, d time.Duration) error {
	switch {
	case d <= 0:
		return nil
	case s.Wait != nil:
		return s.Wait(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// dialogue is one AUTH command.
type dialogue struct {
	initial *string
	ask     Ask
}

// Errors of a dialogue that have replies of their own.
var (
	errCancelled = errors.New("auth: cancelled by the client")
	errNotBase64 = errors.New("auth: not base64")
	errLost      = errors.New("auth: connection lost")
)

// run takes the exchange to its end.
func (d *dialogue) run(ctx context.Context, x Exchange) error {
	var response []byte
	var err error
	if d.initial != nil {
		if response, err = initialResponse(*d.initial); err != nil {
			return err
		}
	}
	for {
		challenge, done, err := x.Next(ctx, response)
		switch {
		case err != nil:
			return err
		case done && challenge == nil:
			return nil
		}
		response, err = d.answer(challenge)
		if t, ok := x.(*tokenExchange); ok && t.failed != nil && errors.Is(err, errLost) {
			return t.failed // the client heard why, and left
		}
		if err != nil {
			return err
		}
		if done { // the client has seen our proof
			if len(response) > 0 {
				return ErrSyntax
			}
			return nil
		}
	}
}

// initialResponse decodes what came with the command; "=" is an empty one.
func initialResponse(s string) ([]byte, error) {
	if s == "=" {
		return []byte{}, nil
	}
	return decode(s)
}

func (d *dialogue) answer(challenge []byte) ([]byte, error) {
	line, err := d.ask(base64.StdEncoding.EncodeToString(challenge))
	switch {
	case errors.Is(err, ErrLineTooLong):
		return nil, err
	case err != nil:
		return nil, errLost
	case line == "*":
		return nil, errCancelled
	}
	return decode(line)
}

// decode reads base64; never nil without an error.
func decode(s string) ([]byte, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return nil, errNotBase64
	}
	if b == nil {
		b = []byte{}
	}
	return b, nil
}

// conclude counts an attempt and finds its reply.
func (s *Service) conclude(x *Session, mechanism, login string, attempted bool, err error) smtp.Reply {
	reply, outcome := verdict(err)
	switch outcome {
	case "passed":
		if s.Guard != nil {
			s.Guard.Passed(x.Peer.Addr, login, attempted)
		}
	case "error":
		if s.Guard != nil {
			s.Guard.Unheard(x.Peer.Addr)
		}
	default:
		x.failed++
		if limit := positive(s.Failures, 3); x.failed >= limit {
			reply = refusedLast
		}
	}
	s.observe(mechanism, outcome)
	s.log(x, mechanism, login, outcome, err)
	return reply
}

func verdict(err error) (smtp.Reply, string) {
	switch {
	case err == nil:
		return passed, "passed"
	case errors.Is(err, ErrRefused):
		return refused, "refused"
	case errors.Is(err, errCancelled), errors.Is(err, errLost):
		return cancelled, "cancelled"
	case errors.Is(err, errNotBase64):
		return notBase64, "syntax"
	case errors.Is(err, ErrSyntax):
		return badMessage, "syntax"
	case errors.Is(err, ErrLineTooLong):
		return tooLong, "syntax"
	}
	return trouble, "error"
}

func (s *Service) observe(mechanism, outcome string) {
	if s.Observe != nil {
		s.Observe(mechanism, outcome)
	}
}

// log writes the line of an attempt. The error is shown only where it is ours:
// that of a mechanism may hold what the client sent.
func (s *Service) log(x *Session, mechanism, login, outcome string, err error) {
	if s.Logger == nil {
		return
	}
	level := slog.LevelInfo
	attrs := []slog.Attr{
		slog.String("listener", x.Peer.Listener), slog.String("client_address", x.Peer.Addr.String()),
		slog.String("mechanism", mechanism), slog.String("login", login), slog.String("outcome", outcome),
	}
	var why *refusal
	if errors.As(err, &why) {
		attrs = append(attrs, slog.String("reason", why.reason))
	}
	if outcome == "error" {
		level = slog.LevelWarn
		attrs = append(attrs, slog.Any("error", err))
	}
	s.Logger.LogAttrs(context.Background(), level, "login", attrs...)
}
