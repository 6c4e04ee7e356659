package mtahooksfilter

import (
	"regexp"
	"slices"

	"mtad/filterproto"
	"mtad/internal/filter/scanner"
)

// verdict is what the changes come to.
func (c *changes) verdict(filterName string) (filterproto.Verdict, error) {
	v := filterproto.Verdict{Disposition: filterproto.Accept}
	code := 0
	if c.response.Code != nil {
		code = *c.response.Code
	}
	switch c.action {
	case "accept", "quarantine":
		if code >= 300 {
			return v, scanner.Protocol("%s says %s, and %d to the client", who, c.action, code)
		}
		v.Edits = c.edits()
		if c.action == "quarantine" {
			v.Quarantine = &filterproto.Quarantine{Reason: "quarantined by " + filterName}
		}
	case "discard":
		v.Disposition = filterproto.Discard
	case "reject", "disconnect":
		return c.refusal(code)
	default:
		return v, scanner.Protocol("%s: action %.20q", who, c.action)
	}
	return v, nil
}

func (c *changes) edits() []filterproto.Edit {
	list := slices.Clone(c.message)
	if c.fields != nil {
		list = append(list, c.fields.edits()...)
	}
	return append(list, c.envelope...)
}

var enhancedCode = regexp.MustCompile(`^[45]\.[0-9]{1,3}\.[0-9]{1,3}$`)

// refusal is a reject, or a defer when the reply is transient.
func (c *changes) refusal(code int) (filterproto.Verdict, error) {
	r := &filterproto.Reply{Code: code, Enhanced: "5.7.1", Text: "refused by policy"}
	v := filterproto.Verdict{Disposition: filterproto.Reject, Reply: r}
	switch {
	case code == 0 || code == 250: // the request's own
		r.Code = 550
	case 400 <= code && code <= 499:
		v.Disposition, r.Enhanced = filterproto.Defer, "4.7.1"
	case code < 500 || code > 599:
		return filterproto.Verdict{}, scanner.Protocol("%s rejects with code %d", who, code)
	}
	if e := c.response.Enhanced; e != nil && enhancedCode.MatchString(*e) && (*e)[0] == r.Enhanced[0] {
		r.Enhanced = *e
	}
	if m := c.response.Message; m != nil {
		if text := scanner.Clean(*m, filterproto.MaxReplyText); text != "" {
			r.Text = text
		}
	}
	return v, nil
}
