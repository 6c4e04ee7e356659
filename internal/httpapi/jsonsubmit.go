package httpapi

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mtad/filterproto"
	"mtad/internal/admission"
	"mtad/internal/compose"
	"mtad/internal/submission"
	"mtad/queue"
)

// readMessage reads a JSON body. What it returns has to be closed, also after an
// error.
func (s *Server) readMessage(r *http.Request, v any) (*spilled, error) {
	body, err := spill(r.Body, s.tempDir)
	if err != nil {
		var known *filterproto.Error
		if errors.As(err, &known) {
			return body, err
		}
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			return body, queue.ErrFull
		}
		return body, &admission.ReadError{Err: err}
	}
	return body, s.decode(body.skeleton, v)
}

// takeJSON takes a message that is described in JSON.
func (s *Server) takeJSON(r *http.Request, req admission.Request) (admission.Result, error) {
	if r.URL.RawQuery != "" {
		return admission.Result{}, failField(filterproto.CodeInvalidParameter, "", "the envelope is in the body: no query parameters")
	}
	var m newMessage
	body, err := s.readMessage(r, &m)
	defer func() { _ = body.Close() }()
	if err != nil {
		return admission.Result{}, err
	}
	if req.NextAt, err = s.schedule(m.SendAt); err != nil {
		return admission.Result{}, err
	}
	b := builder{body: body, host: s.door.Hostname(), now: s.now()}
	letter, err := b.request(&m, &req)
	if err != nil {
		return admission.Result{}, err
	}
	content, done := stream(letter)
	defer done()
	req.Content, req.Canonical = content, true
	return s.submit(r, req)
}

// builder turns the JSON form into a request and a letter.
type builder struct {
	body *spilled
	host string
	now  time.Time
}

// wrong is about a field of the message.
func wrong(field, reason string) error {
	return failField(filterproto.CodeInvalidSubmission, field, reason)
}

// request fills req and makes the letter, which it checks.
func (b *builder) request(m *newMessage, req *admission.Request) (*compose.Message, error) {
	date := b.now
	if !req.NextAt.IsZero() {
		date = req.NextAt // the reader sees when it was sent
	}
	letter := &compose.Message{Subject: m.Subject, Date: date, MessageID: rand.Text() + "@" + b.host}
	env := &submission.Envelope{}
	if err := b.addresses(m, letter, env); err != nil {
		return nil, err
	}
	if err := b.envelope(m, letter, env); err != nil {
		return nil, err
	}
	if err := b.bodies(m, letter); err != nil {
		return nil, err
	}
	if err := letter.Check(); err != nil {
		return nil, b.checked(err, m)
	}
	req.Envelope, req.UTF8, req.Size, req.Chain = env, letter.UTF8(), 0, m.Chain
	req.From = []string{letter.From.Path}
	if letter.Sender.Path != "" {
		req.From = append(req.From, letter.Sender.Path)
	}
	return letter, b.facts(m, req)
}

// checked says what Check found in the caller's words.
func (b *builder) checked(err error, m *newMessage) error {
	var e *compose.Error
	if !errors.As(err, &e) {
		return err
	}
	if m.Headers.array {
		return wrong(e.Field, e.Reason)
	}
	field := e.Field
	if rest, ok := strings.CutPrefix(field, "headers["); ok {
		if n, err := strconv.Atoi(rest[:strings.IndexByte(rest, ']')]); err == nil {
			field = (&place{up: &place{name: "headers"}, name: m.Headers.list[n].Name}).String()
			field = strings.Map(visible, field)
		}
	}
	return wrong(field, e.Reason)
}

// visible replaces what does not belong into one line.
func visible(r rune) rune {
	if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 {
		return '?'
	}
	return r
}

func (b *builder) addresses(m *newMessage, letter *compose.Message, env *submission.Envelope) error {
	var err error
	if letter.From, err = address(m.From, "from"); err != nil {
		return err
	}
	if letter.Sender, err = address(m.Sender, "sender"); err != nil {
		return err
	}
	for _, l := range []struct {
		name string
		from addressList
		to   *[]compose.Address
	}{{"reply_to", m.ReplyTo, &letter.ReplyTo}, {"to", m.To, &letter.To}, {"cc", m.Cc, &letter.Cc}, {"bcc", m.Bcc, nil}} {
		for i, a := range l.from.list {
			field := l.name
			if l.from.array {
				field += "[" + strconv.Itoa(i) + "]"
			}
			got, err := address(a, field)
			switch {
			case err != nil:
				return err
			case got.Path == "":
				return wrong(field, "is empty")
			case l.to != nil:
				*l.to = append(*l.to, got)
			}
			if l.name != "reply_to" {
				env.Recipients = append(env.Recipients, submission.Recipient{Path: got.Path})
			}
		}
	}
	if len(env.Recipients) == 0 {
		return wrong("to", "is missing: a message has recipients in to, cc or bcc")
	}
	return nil
}

func address(a oneAddress, field string) (out compose.Address, err error) {
	switch {
	case !a.set:
		return out, nil
	case a.Address != "" || a.Name != "":
		out, err = compose.NewAddress(a.Name, a.Address)
	default:
		out, err = compose.ParseAddress(a.text)
	}
	if err != nil {
		return out, wrong(field, err.Error())
	}
	return out, nil
}

// envelope fills in what RFC 5321 and RFC 3461 say of a message.
func (b *builder) envelope(m *newMessage, letter *compose.Message, env *submission.Envelope) error {
	env.Sender = letter.From.Path
	if letter.Sender.Path != "" {
		env.Sender = letter.Sender.Path
	}
	e := &m.Envelope
	if e.MailFrom != nil {
		var err error
		if env.Sender, err = submission.ParseAddress(*e.MailFrom); err != nil {
			return wrong("envelope.mail_from", err.Error())
		}
	}
	if err := env.SetDSN(e.EnvID, e.Ret); err != nil {
		var bad *submission.Error
		errors.As(err, &bad)
		return wrong(map[string]string{"dsn-envelope-id": "envelope.envid", "dsn-return-option": "envelope.ret"}[bad.Attribute], bad.Reason)
	}
	if e.Notify == "" {
		return nil
	}
	notify, err := submission.ParseNotify(e.Notify)
	if err != nil {
		return wrong("envelope.notify", err.Error())
	}
	for i := range env.Recipients {
		env.Recipients[i].Notify = notify
	}
	return nil
}

func (b *builder) bodies(m *newMessage, letter *compose.Message) error {
	letter.Text, letter.HTML = b.octets(m.Text), b.octets(m.HTML)
	for _, a := range m.Attachments {
		letter.Attachments = append(letter.Attachments, compose.Attachment{
			Name: a.Name, Type: a.Type, CID: a.CID, Disposition: a.Disposition, Content: b.octets(a.Content),
		})
	}
	for _, f := range m.Headers.list {
		letter.Fields = append(letter.Fields, compose.Field{Name: f.Name, Value: f.Value})
	}
	return nil
}

// octets are those of a string, wherever they are.
func (b *builder) octets(v *string) *io.SectionReader {
	if v == nil {
		return nil
	}
	if r, ok := b.body.long(*v); ok {
		return r
	}
	return compose.String(*v)
}

// inMemory is how large a letter may get before it is piped.
const inMemory = 256 << 10

// stream is the letter's octets. done has to be called in any case.
func stream(letter *compose.Message) (r io.Reader, done func()) {
	size := int64(0)
	for _, b := range []*io.SectionReader{letter.Text, letter.HTML} {
		if b != nil {
			size += b.Size()
		}
	}
	for i := range letter.Attachments {
		size += letter.Attachments[i].Content.Size()
	}
	if size <= inMemory {
		var buf bytes.Buffer
		buf.Grow(int(size+size/8) + 2048)
		if err := letter.Write(&buf); err == nil { // else the pipe says what it is
			return &buf, func() {}
		}
	}
	pr, pw := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		pw.CloseWithError(letter.Write(pw))
	}()
	return pr, func() {
		_ = pr.Close() // the writer, if it still writes, gets an error and ends
		<-ended
	}
}

// Bounds of what is kept beside a message.
const (
	maxTags, maxTag   = 10, 64
	maxFacts, maxFact = 20, 256
)

// facts are tags and meta, kept in Item.Meta.
func (b *builder) facts(m *newMessage, req *admission.Request) error {
	if len(m.Tags) > maxTags {
		return wrong("tags", "more than "+strconv.Itoa(maxTags))
	}
	for i, t := range m.Tags {
		if !word(t, maxTag) {
			return wrong("tags["+strconv.Itoa(i)+"]", "want up to 64 letters, digits and ._-")
		}
	}
	if len(m.Meta) > maxFacts {
		return wrong("meta", "more than "+strconv.Itoa(maxFacts))
	}
	req.Meta = map[string]string{}
	if len(m.Tags) > 0 {
		req.Meta["tags"] = strings.Join(m.Tags, ",")
	}
	for k, v := range m.Meta {
		field := strings.Map(visible, (&place{up: &place{name: "meta"}, name: k}).String())
		if !word(k, maxTag) {
			return wrong(field, "want a name of up to 64 letters, digits and ._-")
		}
		if v == "" || len(v) > maxFact || strings.ContainsFunc(v, func(r rune) bool { return visible(r) != r }) {
			return wrong(field, "want 1 to 256 octets without control characters")
		}
		req.Meta["user."+k] = v
	}
	return nil
}

func word(s string, most int) bool {
	return s != "" && len(s) <= most && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("._-", r)
	})
}
