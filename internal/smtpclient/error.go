package smtpclient

import (
	"errors"

	"mtad/internal/smtp"
)

// Stage is a step of the dialogue, in the words that logs and DSNs use.
type Stage string

// The stages.
const (
	StageConnect   Stage = "connect"
	StageGreeting  Stage = "greeting"
	StageHello     Stage = "EHLO"
	StageStartTLS  Stage = "STARTTLS"
	StageHandshake Stage = "TLS handshake"
	StageMail      Stage = "MAIL FROM"
	StageRcpt      Stage = "RCPT TO"
	StageData      Stage = "DATA"
	StageContent   Stage = "content"
	StageEnd       Stage = "end of data"
	StageReset     Stage = "RSET"
)

// Causes of an Error beside those of the network.
var (
	// ErrProtocol: what came is no SMTP reply, or none that can stand here.
	ErrProtocol = errors.New("no valid SMTP reply")
	// ErrTooLong: a reply has too many lines, or too long ones.
	ErrTooLong = errors.New("reply too long")
	// ErrInjected: octets followed the reply to STARTTLS unencrypted.
	ErrInjected = errors.New("data before TLS handshake")
	// ErrNoTLS: TLS is required and not offered.
	ErrNoTLS = errors.New("TLS is required but was not offered")
	// ErrContent: the content could not be read, or had another size than was
	// said. The fault is on our side.
	ErrContent = errors.New("content could not be read")
	// ErrBroken: the connection had an error before.
	ErrBroken = errors.New("connection is of no use")
)

// Error is why there is no session, or none any more.
type Error struct {
	Stage Stage
	// Reply is what the peer said, zero if it said nothing.
	Reply smtp.Reply
	Err   error
}

func (e *Error) Error() string {
	s := "smtpclient: " + string(e.Stage)
	if !e.Reply.IsZero() {
		s += ": " + e.Reply.String()
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }
