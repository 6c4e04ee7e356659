package smtpclient

import (
	"context"
	"crypto/tls"
	"time"

	"mtad/internal/smtp"
)

// begin goes from the greeting to the point where MAIL may come.
func (c *Conn) begin(ctx context.Context) *Error {
	greeting, err := c.reply(c.o.Timeouts.Greeting)
	if err != nil || greeting.Code != 220 {
		return failed(StageGreeting, greeting, err)
	}
	if e := c.hello(); e != nil {
		return e
	}
	if c.o.TLS == TLSNone {
		return nil
	}
	if !c.ext.StartTLS {
		if c.o.TLS.required() {
			return &Error{Stage: StageStartTLS, Err: ErrNoTLS}
		}
		return nil
	}
	return c.startTLS(ctx)
}

// failed is an Error for a reply that was not the wanted one, or for err.
func failed(stage Stage, r smtp.Reply, err error) *Error {
	if err == nil && !r.Transient() && !r.Permanent() {
		r, err = smtp.Reply{}, ErrProtocol
	}
	return &Error{Stage: stage, Reply: r, Err: err}
}

// hello says EHLO, and HELO where that is not known (RFC 5321 §3.2).
func (c *Conn) hello() *Error {
	verb := "EHLO "
	if c.o.LMTP {
		verb = "LHLO "
	}
	c.ext = Extensions{}
	esmtp := true
	r, err := c.command(verb+c.o.Hostname, c.o.Timeouts.Command)
	if err == nil && r.Permanent() && !c.o.LMTP && c.tls == nil {
		r, err = c.command("HELO "+c.o.Hostname, c.o.Timeouts.Command)
		esmtp = false
	}
	if err != nil || r.Code/100 != 2 {
		return failed(StageHello, r, err)
	}
	if esmtp {
		c.ext = parseExtensions(r)
	}
	return nil
}

// startTLS encrypts the connection. Whatever the peer said before is forgotten
// (RFC 3207 §4.2).
func (c *Conn) startTLS(ctx context.Context) *Error {
	r, err := c.command("STARTTLS", c.o.Timeouts.Command)
	if err == nil && r.Code != 220 && !c.o.TLS.required() && (r.Transient() || r.Permanent()) && r.Code != 421 {
		return nil
	}
	if err != nil || r.Code != 220 {
		return failed(StageStartTLS, r, err)
	}
	if c.r.Buffered() > 0 {
		return &Error{Stage: StageStartTLS, Err: ErrInjected}
	}
	tc := tls.Client(c.conn, c.tlsConfig())
	_ = c.conn.SetDeadline(time.Now().Add(c.o.Timeouts.Command))
	if err := tc.HandshakeContext(ctx); err != nil {
		return &Error{Stage: StageHandshake, Err: err}
	}
	_ = c.conn.SetDeadline(time.Time{})
	state := tc.ConnectionState()
	c.use(tc)
	c.tls = &state
	return c.hello()
}

func (c *Conn) tlsConfig() *tls.Config {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.o.TLSConfig != nil {
		conf = c.o.TLSConfig.Clone()
	}
	if conf.ServerName == "" {
		conf.ServerName = c.o.ServerName
	}
	if c.o.TLS != TLSVerify {
		// Opportunistic: who can alter what passes could take the offer away as well
		// (RFC 7435 §3).
		conf.InsecureSkipVerify = true
	}
	return conf
}
