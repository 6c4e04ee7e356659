package deliver

import (
	"bytes"
	"io"
	"strings"

	"golang.org/x/net/idna"

	"mtad/internal/smtp"
	"mtad/internal/smtpclient"
)

// envelope makes the transaction for some recipients.
func (x *delivery) envelope(s *session, batch []int, size int64) *smtpclient.Transaction {
	env := &x.j.Item.Envelope
	t := &smtpclient.Transaction{
		ReversePath: env.ReversePath, Size: size, Body: string(env.Body), RequireTLS: env.RequireTLS,
		Return: env.Return, EnvID: env.EnvID, Recipients: make([]smtpclient.Recipient, len(batch)),
	}
	for k, n := range batch {
		rc := x.j.recipient(x.results[n].Index)
		t.Recipients[k] = smtpclient.Recipient{Path: rc.Path, Notify: smtp.Notify(rc.Notify), ORCPT: rc.ORCPT}
	}
	if s.Extensions().SMTPUTF8 {
		t.SMTPUTF8 = env.SMTPUTF8
		return t
	}
	t.ReversePath = asciiDomain(t.ReversePath)
	for k := range t.Recipients {
		t.Recipients[k].Path = asciiDomain(t.Recipients[k].Path)
	}
	t.SMTPUTF8 = env.SMTPUTF8 && x.headerNeedsUTF8()
	return t
}

// asciiDomain writes a mailbox's domain as A-label: a next hop without SMTPUTF8
// can have it that way (RFC 6531 §3.2 asks for no more than the local part).
func asciiDomain(path string) string {
	at := strings.LastIndexByte(path, '@')
	if at < 0 || smtp.IsASCII(path[at:]) {
		return path
	}
	domain, err := idna.Lookup.ToASCII(path[at+1:])
	if err != nil {
		return path
	}
	return path[:at+1] + domain
}

// maxHeader is how far the end of a header section is looked for.
const maxHeader = 256 << 10

// headerNeedsUTF8 reports whether the header section has octets that only a next
// hop with SMTPUTF8 can take (RFC 6532). What cannot be read or is too long needs
// it.
func (x *delivery) headerNeedsUTF8() bool {
	content, err := x.j.Open()
	if err != nil {
		return true
	}
	defer func() { _ = content.Close() }()
	head, err := io.ReadAll(io.LimitReader(content, maxHeader))
	if err != nil {
		return true
	}
	end := bytes.Index(head, []byte("\r\n\r\n"))
	if end < 0 && len(head) == maxHeader {
		return true
	}
	if end >= 0 {
		head = head[:end]
	}
	return !smtp.IsASCII(string(head))
}
