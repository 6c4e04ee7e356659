package admission

import (
	"strconv"
	"strings"

	"mtad/filterproto"
	"mtad/internal/route"
	"mtad/internal/smtp"
	"mtad/internal/submission"
	"mtad/queue"
)

// envelope is the envelope of a request, complete and allowed.
func (d *Door) envelope(c *Caller, r *Request, s *Settings) (queue.Envelope, error) {
	in := r.Envelope
	env := queue.Envelope{Return: in.Return, EnvID: in.EnvID, Body: r.Body}
	if claim := in.Claims(); claim != "" && !c.Grant.ClientAttributes {
		return env, forbidden(claim, "this caller may not claim anything about the client")
	}
	var err error
	if env.ReversePath, err = d.complete(in.Sender); err != nil {
		return env, invalid("sender", "bad domain in address")
	}
	if !c.Grant.maySend(env.ReversePath, func(local, domain string) bool { return d.own(c, local, domain) }) {
		return env, forbidden("sender", "this caller may not use this sender")
	}
	if env.Recipients, err = d.recipients(in.Recipients, c, s); err != nil {
		return env, err
	}
	env.Client = client(c, in)
	env.SMTPUTF8 = r.UTF8 || needsUTF8(&env)
	return env, nil
}

func (d *Door) recipients(in []submission.Recipient, c *Caller, s *Settings) ([]queue.Recipient, error) {
	most := s.Recipients
	if most <= 0 {
		most = submission.DefaultRecipients
	}
	if len(in) == 0 {
		return nil, invalid("recipient", "is missing")
	}
	if len(in) > most {
		return nil, &Refusal{Code: filterproto.CodeMessageTooLarge, Field: "recipient", Message: "more than " + strconv.Itoa(most) + " recipients"}
	}
	out := make([]queue.Recipient, 0, len(in))
	seen := make(map[string]bool, len(in))
	for i := range in {
		path, err := d.complete(in[i].Path)
		switch {
		case err != nil || path == "":
			return nil, invalid("recipient", "bad domain in address")
		case seen[path]:
			continue // the first one's options count
		case c.Grant.LocalOnly && !d.o.Local(strings.ToLower(path[strings.LastIndexByte(path, '@')+1:])):
			return nil, forbidden("recipient", "this caller may send to local domains only")
		case !c.Grant.maySendTo(path):
			return nil, forbidden("recipient", "this caller may not send to this recipient")
		}
		seen[path] = true
		r := queue.Recipient{Path: path, Notify: queue.Notify(in[i].Notify), ORCPT: in[i].ORCPT}
		if !strings.Contains(in[i].Path, "@") {
			r.OrigPath = in[i].Path
		}
		out = append(out, r)
	}
	return out, nil
}

// complete gives an address its domain where it has none, and the domain its
// A-labels.
func (d *Door) complete(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	at := strings.LastIndexByte(path, '@')
	if at < 0 || strings.HasSuffix(path, `"`) { // a quoted local part may hold one
		return path + "@" + d.o.Hostname, nil
	}
	domain, err := route.Domain(path[at+1:])
	if err != nil {
		return "", err
	}
	if smtp.IsASCII(path[at+1:]) {
		return path, nil
	}
	return path[:at+1] + domain, nil
}

// own says whether a sender is the caller's own address.
func (d *Door) own(c *Caller, local, domain string) bool {
	if c.Login == nil || !strings.EqualFold(domain, d.o.Hostname) && !d.o.Local(strings.ToLower(domain)) {
		return false
	}
	login := c.Login()
	if d.o.Delimiter != "" {
		local, _, _ = strings.Cut(local, d.o.Delimiter)
	}
	return login != "" && local == login
}

// client is what is claimed, or what the door knows.
func client(c *Caller, in *submission.Envelope) queue.Client {
	out := c.Client
	if p := &in.Client; in.Claims() != "" {
		out = queue.Client{
			Protocol: p.Protocol, Helo: p.Helo, Name: p.Name, Address: p.Address, Port: p.Port,
			SASLMethod: p.SASLMethod, SASLUser: p.SASLUser, SASLSender: p.SASLSender,
			CertSubject: p.CertSubject, CertIssuer: p.CertIssuer, CertFinger: p.CertFinger,
			TLSProtocol: p.TLSProtocol, TLSCipher: p.TLSCipher, TLSKeySize: p.TLSKeySize,
			Listener: c.Client.Listener,
		}
	}
	out.SizeHint = in.Client.SizeHint
	return out
}

func needsUTF8(e *queue.Envelope) bool {
	if !smtp.IsASCII(e.ReversePath) {
		return true
	}
	for i := range e.Recipients {
		if !smtp.IsASCII(e.Recipients[i].Path) {
			return true
		}
	}
	return false
}
