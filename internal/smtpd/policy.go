package smtpd

import (
	"context"
	"crypto/tls"
	"net/netip"

	"mtad/internal/smtp"
	"mtad/queue"
)

// Policy holds decisions from outside. Each function may be nil. A nil Reply
// lets the command pass; a negative one refuses it and is sent as it is. At
// Connect and Helo a Reply with code 421 ends the session. The functions are
// called from the session's goroutine, one at a time; ctx ends with the
// session.
type Policy struct {
	Connect func(ctx context.Context, c *Conversation) *smtp.Reply
	Helo    func(ctx context.Context, c *Conversation) *smtp.Reply
	Mail    func(ctx context.Context, c *Conversation) *smtp.Reply
	// Rcpt sees the recipient before it joins the envelope.
	Rcpt func(ctx context.Context, c *Conversation, r *queue.Recipient) *smtp.Reply
	Data func(ctx context.Context, c *Conversation) *smtp.Reply
	// Judged is told the queue ID of a message whose client will wait for a verdict,
	// after Data and before any content.
	Judged func(c *Conversation, id queue.ID)
	// Reset is told when a transaction ended or was dropped; Close when the
	// session did.
	Reset func(c *Conversation)
	Close func(c *Conversation)
	// Keywords adds lines to the reply to EHLO. Auth serves AUTH (RFC 4954): it
	// sends the client a challenge in base64 with ask, whose answer is a line
	// without its end, and sets Conversation.Client's SASL attributes on success: a
	// client with a SASLUser may relay. A line of more than 12288 octets is
	// ErrLineTooLong; after another error of ask the session is over. A reply with
	// code 421 ends the session.
	Keywords func(c *Conversation) []string
	Auth     func(ctx context.Context, c *Conversation, arg string, ask func(challenge string) (string, error)) smtp.Reply
	// Assert says whether the client may name the mailbox that first sent the
	// message (MAIL AUTH=); for one that may not it becomes "<>" (RFC 4954 §5). nil
	// lets those do so that may relay.
	Assert func(c *Conversation, mailbox string) bool
}

// Conversation is what a Policy sees of a session. Its fields are the
// session's own: only State and, in Auth, Client's SASL attributes may be
// changed.
type Conversation struct {
	Client   queue.Client
	Trusted  bool // in Options.Networks
	TLS      bool
	Secure   *tls.Conn        // with TLS: the connection; not to be read or written
	Leaf     *tls.Certificate // with TLS: what we showed, if Options.TLS says it to its Conn
	Local    netip.Addr       // ours; invalid: unknown
	Envelope *queue.Envelope  // of the transaction; recipients so far
	State    any              // the Policy's own
}

type stage func(context.Context, *Conversation) *smtp.Reply

// ask runs a stage. A positive reply is no refusal.
func (s *session) ask(f stage) *smtp.Reply {
	if f == nil {
		return nil
	}
	return negative(f(s.ctx, &s.conv))
}

func negative(r *smtp.Reply) *smtp.Reply {
	if r == nil || !r.Transient() && !r.Permanent() {
		return nil
	}
	return r
}
