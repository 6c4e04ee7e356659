package mtahooksfilter

import (
	"encoding/json"
	"mime"
	"strings"

	"mtad/filterproto"
	"mtad/internal/filter/scanner"
)

// changes are what the operations of an answer come to. They are collected first:
// one that cannot be made leaves all of them undone.
type changes struct {
	f   *Filter
	inv *invocation

	action   string
	response response
	replaced bool               // the message was given back
	message  []filterproto.Edit // that does so
	fields   *fieldList         // nil: not looked at
	envelope []filterproto.Edit
	to       []string // recipients as the operations see them; nil: not looked at
}

// response is an SMTP reply as the draft has it.
type response struct {
	Code     *int    `json:"code"`
	Enhanced *string `json:"enhancedCode"`
	Message  *string `json:"message"`
}

// all makes the changes. When the message is given back, those of its parts do not
// count.
func (c *changes) all(a answer) error {
	c.action = "accept"
	raw := a.bodies()
	for _, o := range a {
		if !c.allowed(o) {
			return scanner.Protocol("%s may not change %.60q", who, o.path)
		}
		if raw && o.at[0] == "message" {
			continue
		}
		if err := c.one(o); err != nil {
			return err
		}
	}
	return nil
}

// allowed reports whether the scanner may change what an operation is about.
func (c *changes) allowed(o op) bool {
	under := func(list []string) bool {
		for _, p := range list {
			if o.path == p || strings.HasPrefix(o.path, p+"/") {
				return true
			}
		}
		return false
	}
	own := c.inv.reg == nil || c.inv.reg.update == nil || under(c.inv.reg.update)
	return own && (len(c.f.o.Update) == 0 || under(c.f.o.Update))
}

func (c *changes) one(o op) error {
	switch {
	case o.path == "/action" && o.verb == setValue:
		return read(o, &c.action)
	case o.path == rawMessage && o.verb == setValue && !c.replaced:
		c.replaced = true
		return nil
	case o.at[0] == "response" && o.verb == setValue:
		return c.reply(o)
	case o.path == "/envelope/from" || o.path == "/envelope/from/address":
		return c.from(o)
	case strings.HasPrefix(o.path, "/envelope/to"):
		return c.recipient(o)
	case o.path == "/message/subject" && o.verb == setValue:
		return c.subject(o)
	case strings.HasPrefix(o.path, "/message/headers"):
		return c.header(o)
	}
	return unknown(o)
}

func unknown(o op) error { return scanner.Protocol("%s: no such change of %.60q", who, o.path) }

// read takes an operation's value.
func read(o op, v any) error {
	if string(o.value) == "null" {
		return scanner.Protocol("%s: null for %.60q", who, o.path)
	}
	if err := json.Unmarshal(o.value, v); err != nil {
		return scanner.Protocol("%s: %.60q: %v", who, o.path, err)
	}
	return nil
}

func (c *changes) reply(o op) error {
	switch {
	case len(o.at) == 1:
		c.response = response{}
		if string(o.value) == "null" {
			return nil
		}
		return read(o, &c.response)
	case len(o.at) > 2:
		return unknown(o)
	}
	switch o.at[1] {
	case "code":
		return read(o, &c.response.Code)
	case "enhancedCode":
		return readOptional(o, &c.response.Enhanced)
	case "message":
		return readOptional(o, &c.response.Message)
	}
	return unknown(o)
}

func readOptional(o op, v **string) error {
	if string(o.value) == "null" {
		*v = nil
		return nil
	}
	return read(o, v)
}

// subject replaces the first Subject, encoded where it has to be (RFC 2047).
func (c *changes) subject(o op) error {
	var text string
	if err := read(o, &text); err != nil {
		return err
	}
	l, err := c.list()
	if err != nil {
		return err
	}
	l.subject(mime.QEncoding.Encode("utf-8", strings.Join(strings.Fields(text), " ")))
	return nil
}

func (c *changes) list() (*fieldList, error) {
	if c.fields == nil {
		fields, err := c.inv.header()
		if err != nil {
			return nil, err
		}
		c.fields = newFieldList(fields)
	}
	return c.fields, nil
}

func (c *changes) header(o op) error {
	l, err := c.list()
	if err != nil {
		return err
	}
	if len(o.at) == 2 && o.verb == addValue {
		return l.insert(o)
	}
	if len(o.at) < 3 || o.verb == addValue {
		return unknown(o)
	}
	n, ok := position(o.at[2])
	if !ok || n >= len(l.slots) {
		return scanner.Protocol("%s: %.60q is not there", who, o.path)
	}
	if o.verb == deleteValue && len(o.at) == 3 {
		l.remove(n)
		return nil
	}
	if o.verb == setValue && len(o.at) <= 4 {
		return l.set(n, o)
	}
	return unknown(o)
}
