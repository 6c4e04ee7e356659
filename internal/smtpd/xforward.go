package smtpd

import (
	"net/netip"

	"mtad/internal/intake"
	"mtad/internal/smtp"
	"mtad/queue"
)

// override is a client as XCLIENT describes it.
type override struct {
	queue.Client
	helo, moved, named bool // HELO has a value; ADDR, NAME were given
	proto              string
}

// forwarded is what XFORWARD said of the next message's client (Postfix's
// XFORWARD_README). It goes into the envelope and the log; it gives no rights,
// and the trace field keeps to the connection. It is forgotten with the
// transaction.
type forwarded struct {
	given         bool
	attrs         []smtp.Attr
	ident, source string
}

func (s *session) xforward(arg string) {
	if !s.mayXForward {
		s.say(&notListed)
		return
	}
	if s.tx.active {
		s.say(&notNow)
		return
	}
	attrs, bad := smtp.ParseAttrs(arg)
	if bad == nil {
		bad = s.tx.fwd.add(attrs)
	}
	if bad != nil {
		s.sayReply(*bad)
		return
	}
	s.say(&ok)
}

// add joins attributes to those of earlier commands; a later value replaces
// an earlier one.
func (f *forwarded) add(attrs []smtp.Attr) *smtp.Reply {
	for _, a := range attrs {
		if !validForward(a) {
			return &smtp.Reply{Code: 501, Enhanced: "5.5.4", Text: "bad or unknown attribute"}
		}
	}
	for _, a := range attrs {
		f.set(a)
	}
	f.given = true
	return nil
}

func (f *forwarded) set(a smtp.Attr) {
	for i := range f.attrs {
		if f.attrs[i].Name == a.Name {
			f.attrs[i] = a
			return
		}
	}
	f.attrs = append(f.attrs, a)
}

func validForward(a smtp.Attr) bool {
	ok := true
	switch a.Name {
	case "ADDR":
		_, ok = attrAddr(a)
	case "PORT":
		_, ok = attrPort(a)
	case "NAME":
		_, ok = attrName(a)
	case "SOURCE":
		ok = a.Unavailable || a.Value == "LOCAL" || a.Value == "REMOTE"
	case "PROTO", "HELO", "IDENT":
	default:
		ok = false
	}
	return ok
}

// over returns c with what was forwarded in place of the connection's.
func (f *forwarded) over(c queue.Client) queue.Client {
	for _, a := range f.attrs {
		switch a.Name {
		case "ADDR":
			c.Address = ""
			if addr, _ := attrAddr(a); addr != (netip.Addr{}) {
				c.Address = addr.Unmap().String()
			}
		case "PORT":
			c.Port, _ = attrPort(a)
		case "NAME":
			c.Name, _ = attrName(a)
		case "PROTO":
			c.Protocol = a.Value
		case "HELO":
			c.Helo = a.Value
		case "IDENT":
			f.ident = a.Value
		case "SOURCE":
			f.source = a.Value
		}
	}
	return c
}

// mark puts into the door what the envelope has no field for: the connection's
// own client, for the trace field, and the message's ID at the client.
func (f *forwarded) mark(d *intake.Door, peer *queue.Client, protocol string) {
	if !f.given {
		return
	}
	p := *peer
	p.Protocol = protocol
	d.Peer = &p
	d.Meta = map[string]string{}
	if f.ident != "" {
		d.Meta["xforward_ident"] = f.ident
	}
	if f.source != "" {
		d.Meta["xforward_source"] = f.source
	}
}
