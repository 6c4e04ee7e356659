package httpapi

import (
	"bytes"
	"encoding/json"
	"reflect"
	"time"

	"mtad/filterproto"
)

// newMessage is the JSON form of a message (NewMessage of openapi.yaml), as it is
// read: some values have several forms.
type newMessage struct {
	From        oneAddress        `json:"from"`
	Sender      oneAddress        `json:"sender"`
	ReplyTo     addressList       `json:"reply_to"`
	To          addressList       `json:"to"`
	Cc          addressList       `json:"cc"`
	Bcc         addressList       `json:"bcc"`
	Subject     string            `json:"subject"`
	Text        *string           `json:"text"`
	HTML        *string           `json:"html"`
	Attachments []newAttachment   `json:"attachments"`
	Headers     fieldList         `json:"headers"`
	Envelope    newEnvelope       `json:"envelope"`
	Tags        []string          `json:"tags"`
	Meta        map[string]string `json:"meta"`
	Chain       string            `json:"chain"`
	SendAt      time.Time         `json:"send_at"`
}

type newAttachment struct {
	Name        string  `json:"name"`
	Type        string  `json:"type"`
	Content     *string `json:"content"`
	CID         string  `json:"cid"`
	Disposition string  `json:"disposition"`
}

type newEnvelope struct {
	MailFrom *string `json:"mail_from"`
	EnvID    string  `json:"envid"`
	Ret      string  `json:"ret"`
	Notify   string  `json:"notify"`
}

// multiform is a type whose values have several forms: which Go type checks one
// that begins with this token.
type multiform interface {
	form(first json.Token) reflect.Type
}

var multiformType = reflect.TypeFor[multiform]()

// oneAddress is "Name <a@b>", or an object.
type oneAddress struct {
	text string
	set  bool
	addressObject
}

type addressObject struct {
	Name    string `json:"name"`
	Address string `json:"address"`
}

func (*oneAddress) form(first json.Token) reflect.Type {
	if first == json.Delim('{') {
		return reflect.TypeFor[addressObject]()
	}
	return reflect.TypeFor[string]()
}

// UnmarshalJSON reads either form.
func (a *oneAddress) UnmarshalJSON(b []byte) error {
	switch {
	case bytes.Equal(b, []byte("null")):
		return nil
	case b[0] == '{':
		a.set = true
		return json.Unmarshal(b, &a.addressObject)
	}
	a.set = true
	return json.Unmarshal(b, &a.text)
}

// addressList is an address, or an array of them.
type addressList struct {
	list  []oneAddress
	array bool
}

func (*addressList) form(first json.Token) reflect.Type {
	if first == json.Delim('[') {
		return reflect.TypeFor[[]oneAddress]()
	}
	return reflect.TypeFor[oneAddress]()
}

// UnmarshalJSON reads either form.
func (l *addressList) UnmarshalJSON(b []byte) error {
	switch {
	case bytes.Equal(b, []byte("null")):
		return nil
	case b[0] == '[':
		l.array = true
		return json.Unmarshal(b, &l.list)
	}
	l.list = make([]oneAddress, 1)
	return json.Unmarshal(b, &l.list[0])
}

// fieldList is an object of header fields, or an array of names and values. The
// order is kept.
type fieldList struct {
	list  []newField
	array bool
}

type newField struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func (*fieldList) form(first json.Token) reflect.Type {
	if first == json.Delim('[') {
		return reflect.TypeFor[[]newField]()
	}
	return reflect.TypeFor[map[string]string]()
}

// UnmarshalJSON reads either form.
func (l *fieldList) UnmarshalJSON(b []byte) error {
	switch {
	case bytes.Equal(b, []byte("null")):
		return nil
	case b[0] == '[':
		l.array = true
		return json.Unmarshal(b, &l.list)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		f := newField{}
		f.Name, _ = name.(string)
		if err := d.Decode(&f.Value); err != nil {
			return err
		}
		l.list = append(l.list, f)
	}
	return nil
}

// decode checks a body against the type of v and reads it.
func (s *Server) decode(body []byte, v any) error {
	if err := checkJSON(&s.fields, body, reflect.TypeOf(v).Elem()); err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fail(filterproto.CodeInvalidRequest, "the body does not fit the operation")
	}
	return nil
}
