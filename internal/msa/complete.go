package msa

import (
	"bytes"
	"strings"
	"time"
)

// CompleterOptions say what is added where it is missing.
type CompleterOptions struct {
	Date, MessageID bool
	// Now is the Date; ID and Hostname make the Message-ID "<ID@Hostname>".
	Now          time.Time
	ID, Hostname string
	// Sender is the mailbox for a Sender field, added when From names anything but
	// one address that Mine knows; "" adds none.
	Sender string
	// Mine says whether an address is the client's; nil knows none.
	Mine func(address string) bool
	// Refuse is told at the end of the header section what From names: the
	// addresses, and false when there is no From or it cannot be read. Its error
	// ends the message. nil lets everything pass.
	Refuse func(from []string, readable bool) error
}

// Completer passes content on, and adds fields on the way. It is not safe for
// concurrent use. Output is what it passes it on to; each call gets octets that
// are good until it returns.
type Completer struct {
	o      CompleterOptions
	output func([]byte) (int, error)

	held   []byte // beginning of a line that is not understood yet
	began  bool
	inLine bool
	done   bool // the header section is over

	hasDate, hasID, hasSender bool

	reading bool // the field is From
	from    []byte
	froms   int
	err     error
}

// maxFrom bounds what is kept of From fields.
const maxFrom = 64 << 10

// NewCompleter makes a Completer.
func NewCompleter(o CompleterOptions, output func([]byte) (int, error)) *Completer {
	return &Completer{o: o, output: output}
}

// Write takes the next octets of the content. An error is that of the output, or
// of Refuse; it is sticky.
func (c *Completer) Write(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if c.done {
		n, err := c.output(p)
		c.err = err
		return n, err
	}
	n := len(p)
	if len(c.held) > 0 {
		p = append(c.held, p...)
		c.held = nil
	}
	if c.header(p); c.err != nil {
		return 0, c.err
	}
	return n, nil
}

// header passes on what it understands of p.
func (c *Completer) header(p []byte) {
	i := 0
	for i < len(p) {
		if c.inLine {
			i = c.line(p, i)
			continue
		}
		what, name := classify(p[i:], !c.began)
		switch what {
		case unsure:
			c.pass(p[:i])
			c.held = append([]byte(nil), p[i:]...)
			return
		case empty:
			c.pass(p[:i])
			c.end(nil)
			c.pass(p[i:])
			return
		case foreign:
			c.pass(p[:i])
			c.end([]byte("\r\n"))
			c.pass(p[i:])
			return
		case field:
			c.note(strings.ToLower(string(name)))
			i = c.value(p, i)
		}
		c.began, c.inLine = true, true
	}
	c.pass(p)
}

// line goes on to the end of a line.
func (c *Completer) line(p []byte, i int) int {
	end := len(p)
	if j := bytes.IndexByte(p[i:], '\n'); j >= 0 {
		end, c.inLine = i+j+1, false
	}
	if c.reading {
		c.from = append(c.from, p[i:min(end, i+maxFrom-len(c.from))]...)
	}
	return end
}

// value goes on to what is behind the colon.
func (c *Completer) value(p []byte, i int) int { return i + bytes.IndexByte(p[i:], ':') + 1 }

func (c *Completer) note(name string) {
	c.reading = false
	switch name {
	case "date":
		c.hasDate = true
	case "message-id":
		c.hasID = true
	case "sender":
		c.hasSender = true
	case "from":
		c.froms++
		c.reading = true
		if len(c.from) > 0 && len(c.from) < maxFrom {
			c.from = append(c.from, ',')
		}
	}
}

func (c *Completer) pass(p []byte) {
	if c.err == nil && len(p) > 0 {
		_, c.err = c.output(p)
	}
}

// end adds what is missing, and then more, an empty line where the body begins
// without one, if something was added or From was judged.
func (c *Completer) end(more []byte) {
	c.done = true
	from, readable := c.authors()
	if c.err == nil && c.o.Refuse != nil {
		c.err = c.o.Refuse(from, readable)
	}
	added := c.fields(from, readable)
	if len(added) == 0 && c.o.Refuse == nil {
		return
	}
	// Where From was looked at, nobody may take more lines for fields than we did.
	c.pass(append(added, more...))
}

// Close ends the content. It has to be called before the message is.
func (c *Completer) Close() error {
	if c.done || c.err != nil {
		return c.err
	}
	held := c.held
	switch {
	case len(held) > 0: // a last line that never turned out to be a field
		c.end([]byte("\r\n"))
	case c.inLine:
		c.done = true
		from, readable := c.authors()
		if c.o.Refuse != nil {
			c.err = c.o.Refuse(from, readable)
		}
		if added := c.fields(from, readable); len(added) > 0 {
			c.pass(append([]byte("\r\n"), added...))
		}
	default:
		c.end(nil)
	}
	c.pass(held)
	return c.err
}

// fields are those that are missing.
func (c *Completer) fields(from []string, readable bool) []byte {
	var b []byte
	if c.o.Date && !c.hasDate {
		b = c.o.Now.AppendFormat(append(b, "Date: "...), "Mon, 2 Jan 2006 15:04:05 -0700")
		b = append(b, "\r\n"...)
	}
	if c.o.MessageID && !c.hasID {
		b = append(append(b, "Message-ID: <"...), c.o.ID...)
		b = append(append(append(b, '@'), c.o.Hostname...), ">\r\n"...)
	}
	if c.o.Sender != "" && !c.hasSender && !c.author(from, readable) {
		b = append(append(append(b, "Sender: "...), c.o.Sender...), "\r\n"...)
	}
	return b
}

// author says whether From is the client and nobody else.
func (c *Completer) author(from []string, readable bool) bool {
	return readable && len(from) == 1 && c.o.Mine != nil && c.o.Mine(from[0])
}
