package route

import (
	"errors"
	"strconv"

	"mtad/internal/smtp"
)

// Error is a permanent refusal of a path. Its Reply is fit to be sent to a
// peer: it says nothing but what the peer sent and which rule it breaks.
type Error struct {
	// Path is what was to be resolved, shortened for logs.
	Path  string
	Reply smtp.Reply
}

func (e *Error) Error() string {
	return "route: " + strconv.Quote(e.Path) + ": " + e.Reply.Text
}

// Unwrap gives the Reply, for errors.As with a smtp.Reply.
func (e *Error) Unwrap() error { return e.Reply }

// SMTPReply is the reply a peer is given.
func (e *Error) SMTPReply() smtp.Reply { return e.Reply }

// ReplyOf finds the refusal in err's chain.
func ReplyOf(err error) (smtp.Reply, bool) {
	var e *Error
	if errors.As(err, &e) {
		return e.Reply, true
	}
	return smtp.Reply{}, false
}

func refuse(path string, code int, enhanced, text string) *Error {
	const shown = 100
	if len(path) > shown {
		path = path[:shown] + "..."
	}
	return &Error{Path: path, Reply: smtp.Reply{Code: code, Enhanced: enhanced, Text: text}}
}
