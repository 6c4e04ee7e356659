package milterfilter

import (
	"strconv"
	"strings"

	"mtad/queue"
)

// macros are the values known so far. What is not known is not sent.
type macros map[string]string

func (m macros) lookup(name string) (string, bool) {
	v, ok := m[name]
	return v, ok
}

// set keeps values that there are.
func (m macros) set(pairs ...string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			m[pairs[i]] = pairs[i+1]
		} else {
			delete(m, pairs[i])
		}
	}
}

// client sets what is known of us and of the client.
func (m macros) client(o *Options, c *queue.Client) {
	p := peerOf(c)
	daemon := c.Listener
	if daemon == "" {
		daemon = "mtad"
	}
	m.set("j", o.Hostname, "v", o.Version, "{daemon_name}", daemon,
		"_", p.Name+" ["+p.Address+"]", "{client_addr}", p.Address, "{client_name}", p.Name,
		"{client_ptr}", p.Name, "{client_port}", strconv.Itoa(int(p.Port)))
}

// helo sets what is known after HELO.
func (m macros) helo(c *queue.Client) {
	bits := ""
	if c.TLSKeySize > 0 {
		bits = strconv.Itoa(c.TLSKeySize)
	}
	m.set("s", heloOf(c), "r", c.Protocol, "{tls_version}", c.TLSProtocol, "{cipher}", c.TLSCipher, "{cipher_bits}", bits,
		"{cert_subject}", c.CertSubject, "{cert_issuer}", c.CertIssuer, "{cert_fingerprint}", c.CertFinger)
}

// mail sets what belongs to a message; id is "" where it is not known yet.
func (m macros) mail(e *queue.Envelope, id string) {
	c := &e.Client
	m.set("i", id, "r", c.Protocol, "{mail_mailer}", "smtp", "{mail_host}", domainOf(e.ReversePath),
		"{auth_type}", c.SASLMethod, "{auth_authen}", c.SASLUser, "{auth_author}", c.SASLSender)
	m["f"], m["{mail_addr}"] = e.ReversePath, e.ReversePath
}

// rcpt sets what belongs to a recipient.
func (m macros) rcpt(r *queue.Recipient) {
	m.set("{rcpt_addr}", r.Path, "{rcpt_host}", r.NextHop, "{rcpt_mailer}", r.Transport)
}

func domainOf(path string) string { return path[strings.LastIndexByte(path, '@')+1:] }

// forget drops what belongs to a message.
func (m macros) forget() {
	for _, name := range []string{"i", "f", "{mail_addr}", "{mail_host}", "{mail_mailer}", "{auth_type}", "{auth_authen}", "{auth_author}", "{rcpt_addr}", "{rcpt_host}", "{rcpt_mailer}"} {
		delete(m, name)
	}
}
