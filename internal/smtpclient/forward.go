package smtpclient

import (
	"fmt"

	"mtad/internal/smtp"
)

// StageForward is XFORWARD.
const StageForward Stage = "XFORWARD"

// Bounds of a command line with XFORWARD, in octets.
const (
	forwardLine  = 500
	forwardValue = 400 // encoded
)

// Forward tells the peer, by XFORWARD, where the next message came from; it
// comes before Send. Attributes that the peer does not offer are left out, and
// so is the command when none is left. told lists the names that it took. The
// error is an *Error, and the connection of no use after it; a refusal by the
// peer is none.
func (c *Conn) Forward(attrs []smtp.Attr) (told []string, err error) {
	line, names := "XFORWARD", []string(nil)
	flush := func() error {
		if len(names) == 0 {
			return nil
		}
		r, err := c.command(line, c.o.Timeouts.Command)
		if err != nil || r.Code == 421 || r.Code/100 == 3 {
			c.broken = true
			return failed(StageForward, r, err)
		}
		if r.Positive() {
			told = append(told, names...)
		}
		line, names = "XFORWARD", nil
		return nil
	}
	for _, a := range attrs {
		if !c.ext.Forward[a.Name] {
			continue
		}
		word := forwardWord(a)
		if len(line)+len(word) > forwardLine {
			if err := flush(); err != nil {
				return told, err
			}
		}
		line, names = line+word, append(names, a.Name)
	}
	return told, flush()
}

// forwardWord is " NAME=value". A value that is too long is not known.
func forwardWord(a smtp.Attr) string {
	value := smtp.Xtext(a.Value)
	if a.Unavailable || value == "" || len(value) > forwardValue {
		value = "[UNAVAILABLE]"
	}
	return fmt.Sprintf(" %s=%s", a.Name, value)
}
