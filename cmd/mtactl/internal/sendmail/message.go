package sendmail

import (
	"bytes"
	"io"
	"mime"
	"strings"
	"time"

	"mtad/internal/submission"
)

// Person is who calls.
type Person struct {
	Login    string // name of the user
	FullName string // of the user, "" if none is known
	Host     string // name that completes an address without a domain
}

// Message is what is handed in: an envelope, and the content as UNIX or Internet text.
type Message struct {
	Envelope submission.Envelope
	Content  io.Reader
}

// Read makes a message of standard input. The header section is read, the body
// remains to be. token is the local part of a Message-ID. An error is a *UsageError, a *DataError,
// or the reader's.
func Read(in io.Reader, o *Options, p Person, now time.Time, token string) (*Message, error) {
	env, err := o.envelope(p)
	if err != nil {
		return nil, err
	}
	return build(newText(in, !o.IgnoreDots), o, env, p, now, token)
}

func build(t *text, o *Options, env *submission.Envelope, p Person, now time.Time, token string) (*Message, error) {
	h, err := readHeader(t)
	if err != nil {
		return nil, err
	}
	if o.FromHeader {
		list, err := h.recipients()
		if err != nil {
			return nil, err
		}
		o.add(env, list)
	}
	if len(env.Recipients) == 0 {
		return nil, &DataError{"no recipient in the header section"}
	}
	return &Message{*env, io.MultiReader(bytes.NewReader(h.complete(o, p, env.Sender, now, token)), t)}, nil
}

// envelope is what the command line says of it.
func (o *Options) envelope(p Person) (*submission.Envelope, error) {
	env := &submission.Envelope{Sender: p.Login, EnvID: o.EnvID, Return: o.Return}
	if o.HasSender {
		list, err := addresses(o.Sender)
		if err != nil || len(list) > 1 {
			return nil, usage("-f: %s", errNotAddress)
		}
		env.Sender = ""
		if len(list) == 1 {
			env.Sender = list[0]
		}
	}
	for _, arg := range o.Recipients {
		list, err := addresses(arg)
		if err != nil {
			return nil, &DataError{"a recipient is " + errNotAddress}
		}
		o.add(env, list)
	}
	return env, nil
}

func (o *Options) add(env *submission.Envelope, list []string) {
	for _, path := range list {
		env.Recipients = append(env.Recipients, submission.Recipient{Path: path, Notify: o.Notify})
	}
}

// complete is the header section as it is handed in: without what is dropped, with
// what is missing at its end (RFC 6409 §8), and what was read behind it.
func (h *header) complete(o *Options, p Person, sender string, now time.Time, token string) []byte {
	eol := "\n"
	if h.crlf {
		eol = "\r\n"
	}
	prefix := ""
	if h.resent() {
		prefix = "Resent-"
	}
	var b bytes.Buffer
	for i := range h.fields {
		f := &h.fields[i]
		if dropped(f.name) {
			continue
		}
		if b.Len() == 0 && submission.IsAttribute(f.name) {
			// In lower case the taker would think that it belongs into the envelope.
			f.raw[0] = bytes.ToUpper(f.raw[:1])[0]
		}
		b.Write(f.raw)
		if !endsLine(f.raw) {
			b.WriteString(eol)
		}
	}
	add := func(name, value string) {
		if !h.has(strings.ToLower(prefix + name)) {
			b.WriteString(prefix + name + ": " + value + eol)
		}
	}
	add("From", from(o, p, sender))
	add("Date", now.Format("Mon, 2 Jan 2006 15:04:05 -0700 (MST)"))
	add("Message-ID", "<"+token+"@"+p.Host+">")
	if h.rest == nil {
		b.WriteString(eol)
	}
	b.Write(h.rest)
	return b.Bytes()
}

// maxFullName bounds what gecos or -F may put into a header field.
const maxFullName = 200

// from is a From field's value.
func from(o *Options, p Person, sender string) string {
	if sender == "" {
		sender = "MAILER-DAEMON"
	}
	if at := strings.LastIndexByte(sender, '@'); at < 0 || strings.HasSuffix(sender, `"`) {
		sender += "@" + p.Host
	}
	name := o.FullName
	if name == "" {
		name = p.FullName
	}
	if name = oneLine(name); name == "" {
		return sender
	}
	return phrase(name) + " <" + sender + ">"
}

// oneLine is text without control characters, bounded.
func oneLine(s string) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?")))
	if len(s) > maxFullName {
		s = strings.TrimSpace(strings.ToValidUTF8(s[:maxFullName], ""))
	}
	return s
}

// phrase writes a display name (RFC 5322 §3.2.5, RFC 2047).
func phrase(s string) string {
	plain := true
	for i := range len(s) {
		c := s[i]
		if c >= 0x80 {
			return mime.QEncoding.Encode("utf-8", s)
		}
		if !(c == ' ' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0) {
			plain = false
		}
	}
	if plain {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
