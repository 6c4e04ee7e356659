package mtahooksfilter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"mtad/internal/filter"
	"mtad/internal/filter/hookclient"
	"mtad/queue"
)

const stageData = "data"

// rawMessage is the property that holds the message; it is written last.
const rawMessage = "/rawMessage"

// properties are those that a request can have.
func properties() []string {
	return []string{"/stage", "/action", "/timestamp", "/protocol", rawMessage, "/envelope", "/queue", "/client", "/server", "/tls", "/auth", "/response", "/message"}
}

// invocation is one message on its way to the scanner and back.
type invocation struct {
	f   *Filter
	ctx context.Context
	m   filter.Message
	id  string

	reg    *registration
	src    *filter.Source
	err    error // of opening it
	fields []filter.Field
	read   bool // fields is what the message has
}

// send posts the hook request.
func (inv *invocation) send(reg *registration) (*http.Response, error) {
	inv.reg = reg
	if size := inv.m.Item.Size(); reg.maxSize > 0 && size > reg.maxSize {
		return nil, &filter.Failure{Class: filter.OverSize, Err: fmt.Errorf("%s takes %d octets, the message has %d", who, reg.maxSize, size)}
	}
	front, raw, err := inv.front(reg.properties)
	if err != nil {
		return nil, err
	}
	q := hookclient.Request{Method: http.MethodPost, URL: reg.endpoint, Header: inv.f.header(reg, inv.id), Size: int64(len(front)) + 1,
		Open: func() (io.Reader, error) { return io.MultiReader(bytes.NewReader(front), strings.NewReader("}")), nil }}
	if raw {
		q.Open, q.Failed = func() (io.Reader, error) { return inv.open(front) }, inv.failed
		q.Size = int64(len(front)) + encodedLen(inv.m.Item.Size()) + int64(len(rawEnd))
	}
	return inv.f.c.Do(inv.ctx, q)
}

// header are the fields of a hook request.
func (f *Filter) header(reg *registration, id string) http.Header {
	h := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, " + patchType}, "X-Mta-Hooks-Request-Id": {id}}
	if reg.id != "" {
		h.Set("X-MTA-Hooks-Registration", reg.id)
	}
	return h
}

const rawEnd = `"}`

// open begins a body with the message in it.
func (inv *invocation) open(front []byte) (io.Reader, error) {
	inv.close()
	inv.src, inv.err = inv.m.Source(inv.ctx, false)
	if inv.err != nil {
		return nil, inv.err
	}
	return io.MultiReader(bytes.NewReader(front), newEncoder(inv.src), strings.NewReader(rawEnd)), nil
}

func (inv *invocation) failed() error {
	if inv.err != nil || inv.src == nil {
		return inv.err
	}
	return inv.src.Err()
}

func (inv *invocation) close() {
	if inv.src != nil {
		inv.src.Close()
	}
	inv.src = nil
}

// front is the request up to where the message begins, or, without it, to the
// closing brace.
func (inv *invocation) front(properties []string) (b []byte, raw bool, err error) {
	b = append(b, '{')
	for _, p := range properties {
		if p == rawMessage {
			raw = true
			continue
		}
		v, err := inv.property(p)
		if err != nil {
			return nil, false, err
		}
		text, err := json.Marshal(v)
		if err != nil {
			return nil, false, err
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(append(append(append(b, '"'), p[1:]...), `":`...), text...)
	}
	if raw {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(b, `"rawMessage":"`...)
	}
	return b, raw, nil
}

type object map[string]any

func (inv *invocation) property(p string) (any, error) {
	if p == "/message" {
		return inv.message()
	}
	return inv.f.property(p, stageData, &inv.m.Item), nil
}

// property is what is known of a message, or of a session before it.
func (f *Filter) property(p, stage string, it *queue.Item) any {
	c := it.Envelope.Client
	switch p {
	case "/stage":
		return stage
	case "/action":
		return "accept"
	case "/timestamp":
		return f.o.Now().UTC().Format(time.RFC3339)
	case "/protocol":
		return object{"version": "1.0"}
	case "/response":
		return object{"code": 250, "enhancedCode": "2.0.0", "message": "accepted"}
	case "/queue":
		return object{"id": string(it.ID)}
	case "/server":
		return object{"name": f.o.Name}
	case "/client":
		return clientOf(c)
	case "/tls":
		if c.TLSProtocol == "" {
			return nil
		}
		return object{"version": c.TLSProtocol, "cipher": c.TLSCipher, "cipherBits": c.TLSKeySize,
			"certIssuer": orNull(c.CertIssuer), "certSubject": orNull(c.CertSubject)}
	case "/auth":
		if c.SASLUser == "" {
			return nil
		}
		return object{"login": c.SASLUser, "method": c.SASLMethod}
	case "/envelope":
		return envelopeOf(it.Envelope)
	}
	return nil
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func clientOf(c queue.Client) any {
	if c.Address == "" {
		return nil
	}
	ptr := orNull(c.Name)
	if c.Name == "unknown" {
		ptr = nil
	}
	return object{"ip": strings.TrimPrefix(c.Address, "IPv6:"), "port": c.Port, "ptr": ptr, "ehlo": c.Helo}
}

// envelopeOf is reverse-path and pending recipients, with the parameters of MAIL
// and RCPT.
func envelopeOf(e queue.Envelope) object {
	from := object{}
	set(from, "RET", e.Return)
	set(from, "ENVID", e.EnvID)
	set(from, "BODY", string(e.Body))
	if e.SMTPUTF8 {
		from["SMTPUTF8"] = ""
	}
	to := []object{}
	for _, r := range e.Recipients {
		if r.Status != queue.Pending {
			continue
		}
		p := object{}
		set(p, "NOTIFY", strings.ToUpper(strings.Join(filter.NotifyWords(r.Notify), ",")))
		set(p, "ORCPT", r.ORCPT)
		to = append(to, object{"address": r.Path, "parameters": p})
	}
	return object{"from": object{"address": orNull(e.ReversePath), "parameters": from}, "to": to}
}

func set(o object, name, value string) {
	if value != "" {
		o[name] = value
	}
}

// message is the part of the structured message that mtad offers: its size and its
// header fields. null where the header section is beyond what may be edited.
func (inv *invocation) message() (any, error) {
	fields, err := inv.header()
	var large *filter.VerdictError
	if errors.As(err, &large) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list := make([]object, 0, len(fields))
	for _, f := range fields {
		list = append(list, object{"name": f.Name, "value": shown(f.Value)})
	}
	return object{"size": inv.m.Item.Size(), "headers": list}, nil
}

// shown is a field's value without the one space that goes before it.
func shown(value []byte) string { return string(bytes.TrimPrefix(value, []byte(" "))) }

// header reads the message's fields, once.
func (inv *invocation) header() ([]filter.Field, error) {
	if inv.read {
		return inv.fields, nil
	}
	c, err := inv.m.Open(inv.ctx, false)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if inv.fields, _, err = filter.ReadFields(c, maxHeader); err != nil {
		return nil, err
	}
	inv.read = true
	return inv.fields, nil
}
