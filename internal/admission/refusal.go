package admission

import (
	"mtad/filterproto"
	"mtad/internal/smtp"
)

// Refusal is why a caller may not hand in a message.
type Refusal struct {
	Code  string // of spec/errors.json
	Field string // the attribute that is wrong, as the submission format calls it
	// Message is one line for the caller; it repeats nothing of the message.
	Message    string
	RetryAfter int // seconds; 0: permanent
	// Reply is a filter's, with CodeMessageRejected and CodeMessageDeferred.
	Reply smtp.Reply
}

func (r *Refusal) Error() string {
	s := "admission: " + r.Code + ": "
	if r.Field != "" {
		s += r.Field + ": "
	}
	return s + r.Message
}

// Transient says that the same message may be taken later.
func (r *Refusal) Transient() bool { return r.RetryAfter > 0 }

func invalid(field, message string) *Refusal {
	return &Refusal{Code: filterproto.CodeInvalidSubmission, Field: field, Message: message}
}

func forbidden(field, message string) *Refusal {
	return &Refusal{Code: filterproto.CodeSubmissionForbidden, Field: field, Message: message}
}

// verdict is the refusal of a filter that judged while the caller waited.
func verdict(r smtp.Reply) *Refusal {
	out := &Refusal{Code: filterproto.CodeMessageRejected, Message: r.String(), Reply: r}
	if r.Transient() {
		out.Code, out.RetryAfter = filterproto.CodeMessageDeferred, 60
	}
	return out
}

// ReadError is an error of Request.Content: the message did not come whole.
type ReadError struct{ Err error }

func (e *ReadError) Error() string { return "admission: content: " + e.Err.Error() }

// Unwrap is the reader's error.
func (e *ReadError) Unwrap() error { return e.Err }
