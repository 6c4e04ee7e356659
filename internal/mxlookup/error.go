package mxlookup

import (
	"fmt"

	"mtad/internal/smtp"
)

// Error says why a next hop has no addresses.
type Error struct {
	NextHop string
	// Reply is permanent only where the DNS proves it. Its text names the next hop,
	// no server and no cause inside this host.
	Reply smtp.Reply
	// Err is the cause, for logs; may be nil.
	Err error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("mxlookup: %s: %s: %v", e.NextHop, e.Reply.Text, e.Err)
	}
	return fmt.Sprintf("mxlookup: %s: %s", e.NextHop, e.Reply.Text)
}

func (e *Error) Unwrap() error { return e.Err }

func (h hop) fail(code int, enhanced, text string, cause error) *Error {
	return &Error{NextHop: h.raw, Err: cause, Reply: smtp.Reply{Code: code, Enhanced: enhanced, Text: text}}
}

func (h hop) noDomain() *Error {
	return h.fail(550, "5.1.2", "domain "+h.host+" does not exist", nil)
}

func (h hop) noAddress() *Error {
	return h.fail(550, "5.4.4", "no mail host of "+h.host+" has an address", nil)
}

func (h hop) nullMX() *Error { // RFC 7505 §4.2
	return h.fail(556, "5.1.10", "domain "+h.host+" does not accept mail (null MX)", nil)
}

func (h hop) loop() *Error {
	return h.fail(554, "5.4.6", "mail for "+h.host+" loops back to this host", nil)
}

func (h hop) trouble(cause error) *Error {
	return h.fail(451, "4.4.3", "name service error for "+h.host, cause)
}
