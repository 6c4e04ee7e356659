package compose

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Bounds of a Message, in octets or pieces.
const (
	maxSubject     = 2000
	maxFields      = 100
	maxFieldName   = 76
	maxFieldValue  = 8000
	maxAttachments = 200
	maxFileName    = 255
)

// Check says what is wrong with a message, the first thing that is: an *Error, or
// an error of reading a body.
func (m *Message) Check() error {
	if m.From.Path == "" {
		return &Error{"from", "is missing"}
	}
	if len(m.Subject) > maxSubject || !printable(m.Subject) {
		return &Error{"subject", "has a control character, or is longer than 2000 octets"}
	}
	if err := m.checkFields(); err != nil {
		return err
	}
	if m.Text == nil && m.HTML == nil && len(m.Attachments) == 0 {
		return &Error{"text", "is missing: a message has text, html or attachments"}
	}
	for _, b := range []struct {
		field string
		r     *io.SectionReader
		s     *shape
	}{{"text", m.Text, &m.text}, {"html", m.HTML, &m.html}} {
		if b.r == nil {
			continue
		}
		var err error
		if *b.s, err = look(b.r); err != nil {
			return err
		}
		if b.s.bad {
			return &Error{b.field, "is not UTF-8, or has a control character"}
		}
	}
	if len(m.Attachments) > maxAttachments {
		return &Error{"attachments", fmt.Sprintf("more than %d", maxAttachments)}
	}
	cids := map[string]bool{}
	for i := range m.Attachments {
		if err := m.Attachments[i].check(fmt.Sprintf("attachments[%d].", i), cids); err != nil {
			return err
		}
	}
	return nil
}

func (m *Message) checkFields() error {
	if len(m.Fields) > maxFields {
		return &Error{"headers", fmt.Sprintf("more than %d", maxFields)}
	}
	seen := map[string]bool{}
	for i, f := range m.Fields {
		at := fmt.Sprintf("headers[%d].", i)
		if !fieldName(f.Name) {
			return &Error{at + "name", "not a name of a header field"}
		}
		name := strings.ToLower(f.Name)
		if why := reserved(name); why != "" {
			return &Error{at + "name", why}
		}
		if len(f.Value) > maxFieldValue || !printable(f.Value) || longestWord(f.Value) > hardLine-100 {
			return &Error{at + "value", "has a control character, or is too long"}
		}
		if strings.TrimSpace(f.Value) == "" {
			return &Error{at + "value", "is empty"}
		}
		if name == "message-id" || name == "in-reply-to" || name == "references" {
			if seen[name] || !messageIDs(f.Value, name == "message-id") {
				return &Error{at + "value", "want a message ID in angle brackets, once"}
			}
		}
		seen[name] = true
	}
	return nil
}

func fieldName(s string) bool {
	return s != "" && len(s) <= maxFieldName && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' })
}

// owned are the fields that a Message has a place for, that speak of what a body is,
// or that others write on the way: trace, signatures, results.
var owned = map[string]string{
	"from": "has a field of its own", "sender": "has a field of its own", "reply-to": "has a field of its own",
	"to": "has a field of its own", "cc": "has a field of its own", "bcc": "has a field of its own",
	"subject": "has a field of its own", "date": "is written by mtad", "mime-version": "is written by mtad",
	"received": "is a trace field", "return-path": "is a trace field", "delivered-to": "is a trace field",
	"x-original-to": "is a trace field", "received-spf": "is a trace field", "authentication-results": "is a trace field",
	"dkim-signature": "is a signature", "domainkey-signature": "is a signature", "apparently-to": "names recipients",
}

func reserved(name string) string {
	switch {
	case strings.HasPrefix(name, "content-"):
		return "is written by mtad"
	case strings.HasPrefix(name, "resent-"):
		return "is a trace field"
	case strings.HasPrefix(name, "arc-"):
		return "is a signature"
	}
	return owned[name]
}

var messageID = regexp.MustCompile(`^<[^<>\s]{1,480}@[^<>\s@]{1,480}>$`)

func messageIDs(v string, one bool) bool {
	words := strings.Fields(v)
	if len(words) == 0 || one && len(words) != 1 {
		return false
	}
	for _, w := range words {
		if !messageID.MatchString(w) || !isASCII(w) {
			return false
		}
	}
	return true
}

var contentID = regexp.MustCompile(`^[A-Za-z0-9._+@=-]{1,200}$`)

func (a *Attachment) check(at string, cids map[string]bool) error {
	if len(a.Name) > maxFileName || !printable(a.Name) || strings.ContainsAny(a.Name, `/\`) || a.Name == "." || a.Name == ".." {
		return &Error{at + "name", "want a file name of up to 255 octets without directories and control characters"}
	}
	if a.Type != "" {
		media, _, err := mime.ParseMediaType(a.Type)
		if err != nil || !isASCII(a.Type) || len(a.Type) > 200 || !printable(a.Type) || strings.Count(media, "/") != 1 {
			return &Error{at + "type", "not a media type"}
		}
		if strings.HasPrefix(media, "multipart/") {
			return &Error{at + "type", "an attachment cannot be multipart"}
		}
	}
	if a.CID != "" && !contentID.MatchString(a.CID) {
		return &Error{at + "cid", "want up to 200 letters, digits, and ._+@=-"}
	}
	if a.CID != "" && cids[a.CID] {
		return &Error{at + "cid", "is given twice"}
	}
	cids[a.CID] = true
	if a.Disposition != "" && a.Disposition != "attachment" && a.Disposition != "inline" {
		return &Error{at + "disposition", "want attachment or inline"}
	}
	if a.Content == nil {
		return &Error{at + "content", "is missing"}
	}
	var wrong base64.CorruptInputError
	_, err := io.Copy(io.Discard, a.octets())
	if errors.As(err, &wrong) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{at + "content", "malformed base64"}
	}
	return err
}

// octets decodes the content from its beginning.
func (a *Attachment) octets() io.Reader {
	return base64.NewDecoder(base64.StdEncoding.Strict(), again(a.Content))
}

func again(r *io.SectionReader) io.Reader { return io.NewSectionReader(r, 0, r.Size()) }

// shape is what a look at a body says of it.
type shape struct {
	bad     bool  // not UTF-8, or control characters
	foreign int64 // octets outside of ASCII
	size    int64
	longest int // line
}

func look(r *io.SectionReader) (shape, error) {
	var s shape
	buf := make([]byte, min(r.Size(), 32<<10)+utf8.UTFMax)
	kept, line := 0, 0
	src := again(r)
	for {
		n, err := src.Read(buf[kept:])
		rest := s.piece(buf[:kept+n], &line)
		if err == io.EOF {
			s.bad = s.bad || rest > 0 // the beginning of a character
			s.longest = max(s.longest, line)
			return s, nil
		}
		if err != nil {
			return s, err
		}
		kept = copy(buf, buf[kept+n-rest:kept+n])
	}
}

// piece looks at octets, but for the last rest of them: they need what follows.
func (s *shape) piece(b []byte, line *int) (rest int) {
	start, at := 0, *line // of the line within b; its length before
	for i := 0; i < len(b); {
		c := b[i]
		switch {
		case c >= utf8.RuneSelf:
			if !utf8.FullRune(b[i:]) {
				s.size += int64(i)
				*line = at + i - start
				return len(b) - i
			}
			r, n := utf8.DecodeRune(b[i:])
			s.foreign += int64(n)
			s.bad = s.bad || r == utf8.RuneError && n == 1
			i += n
			continue
		case c == '\n':
			s.longest = max(s.longest, at+i+1-start)
			start, at = i+1, 0
		case c < ' ' && c != '\t' && c != '\r' && c != '\f' || c == 0x7f:
			s.bad = true
		}
		i++
	}
	s.size += int64(len(b))
	*line = at + len(b) - start
	return 0
}
