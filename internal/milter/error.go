package milter

import (
	"errors"
	"net"
	"os"
)

// Kind is a way in which a filter fails.
type Kind uint8

// The kinds.
const (
	Unreachable Kind = iota // no connection, or hung up before a message began
	Timeout                 // no packet in time
	Lost                    // hung up in the middle of a message
	Protocol                // said something that cannot be understood
)

var kindNames = [...]string{"unreachable", "timeout", "lost", "protocol"}

func (k Kind) String() string { return kindNames[k] }

// Error is every error of this package but those of the caller's own functions.
type Error struct {
	Kind Kind
	Op   string // what was being done
	Err  error
}

func (e *Error) Error() string { return "milter: " + e.Op + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func protocolError(op, text string) error {
	return &Error{Kind: Protocol, Op: op, Err: errors.New(text)}
}

// failure gives an I/O error its kind; lost is the kind of an end of the
// connection.
func failure(op string, lost Kind, err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	var ne net.Error
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &ne) && ne.Timeout() {
		return &Error{Kind: Timeout, Op: op, Err: err}
	}
	return &Error{Kind: lost, Op: op, Err: err}
}
