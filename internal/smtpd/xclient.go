package smtpd

import (
	"net/netip"
	"strconv"
	"strings"

	"mtad/internal/smtp"
)

// xclient makes the session that of another client (Postfix's XCLIENT_README):
// what the listed client says stands for the connection from then on, also for
// who may relay. The session begins anew.
func (s *session) xclient(arg string) {
	if !s.mayXClient {
		s.say(&notListed)
		return
	}
	if s.tx.active {
		s.say(&notNow)
		return
	}
	attrs, bad := smtp.ParseAttrs(arg)
	if bad != nil {
		s.sayReply(*bad)
		return
	}
	c, addr, bad := s.overridden(attrs)
	if bad != nil {
		s.sayReply(*bad)
		return
	}
	s.adopt(c, addr, attrs)
}

// overridden works on a copy: an attribute that is refused leaves the session
// as it was.
func (s *session) overridden(attrs []smtp.Attr) (c override, addr netip.Addr, bad *smtp.Reply) {
	c.Client, addr = s.conv.Client, s.addr
	for _, a := range attrs {
		valid := true
		switch a.Name {
		case "ADDR":
			addr, valid = attrAddr(a)
			c.moved = true
		case "NAME":
			c.Name, valid = attrName(a)
			c.named = true
		case "PORT":
			c.Port, valid = attrPort(a)
		case "HELO":
			c.Helo, c.helo = a.Value, !a.Unavailable
		case "PROTO":
			c.proto, valid = a.Value, a.Unavailable || a.Value == "SMTP" || a.Value == "ESMTP"
		case "LOGIN":
			c.SASLUser = a.Value
		case "DESTADDR":
			_, valid = attrAddr(a)
		case "DESTPORT":
			_, valid = attrPort(a)
		default:
			return c, addr, &smtp.Reply{Code: 501, Enhanced: "5.5.4", Text: "attribute not known"}
		}
		if !valid {
			return c, addr, &smtp.Reply{Code: 501, Enhanced: "5.5.4", Text: "bad " + a.Name + " value"}
		}
	}
	return c, addr, nil
}

// adopt begins the session anew as that of c.
func (s *session) adopt(c override, addr netip.Addr, attrs []smtp.Attr) {
	s.forget()
	s.leave()
	s.conv.Client = c.Client
	s.setAddr(addr)
	s.conv.Client.Helo = ""
	if c.moved && !c.named {
		s.conv.Client.Name = "unknown"
		s.name()
	}
	if c.helo {
		s.conv.Client.Helo = c.Helo
		s.greeted, s.esmtp = true, c.proto != "SMTP"
	}
	s.log.Info("xclient", "listener", s.o.Name, "client_address", s.conv.Client.Address, "attributes", len(attrs))
	// The new address is bound by the limits of its own; the right to XCLIENT stays
	// with the connection.
	may := s.mayXClient
	s.mayXClient = false
	entered := s.enter()
	s.mayXClient = may
	if !entered {
		return
	}
	if r := s.ask(s.o.Policy.Connect); r != nil {
		s.sayReply(*r)
		s.end("policy")
		return
	}
	s.say(&s.srv.greet)
}

// attrAddr reads an address: IPv4, or IPv6 with the tag "IPV6:".
func attrAddr(a smtp.Attr) (netip.Addr, bool) {
	if a.Unavailable {
		return netip.Addr{}, true
	}
	v := a.Value
	v6 := len(v) > 5 && strings.EqualFold(v[:5], "IPV6:")
	if v6 {
		v = v[5:]
	}
	addr, err := netip.ParseAddr(v)
	// Old proxies leave the tag out: Postfix takes that too.
	if err != nil || addr.Zone() != "" || v6 && addr.Is4() {
		return netip.Addr{}, false
	}
	return addr, true
}

func attrName(a smtp.Attr) (string, bool) {
	if a.Unavailable {
		return "unknown", true
	}
	return a.Value, smtp.ValidDomain(a.Value)
}

func attrPort(a smtp.Attr) (uint16, bool) {
	if a.Unavailable {
		return 0, true
	}
	n, err := strconv.ParseUint(a.Value, 10, 16)
	return uint16(n), err == nil
}
