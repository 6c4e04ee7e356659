package mtahooksfilter

import (
	"strings"

	"mtad/filterproto"
	"mtad/internal/filter/scanner"
	"mtad/queue"
)

// address is an element of the envelope.
type address struct {
	Address    *string        `json:"address"`
	Parameters map[string]any `json:"parameters"`
}

func (a address) path() string {
	if a.Address == nil {
		return ""
	}
	if inner, ok := strings.CutPrefix(*a.Address, "<"); ok {
		return strings.TrimSuffix(inner, ">")
	}
	return *a.Address
}

// params are those that a recipient that is added can have.
func (a address) params() string {
	var list []string
	for _, name := range [...]string{"NOTIFY", "ORCPT"} {
		if v, _ := a.Parameters[name].(string); v != "" {
			list = append(list, name+"="+v)
		}
	}
	return strings.Join(list, " ")
}

func (c *changes) from(o op) error {
	if o.verb == addValue {
		return unknown(o)
	}
	var a address
	if o.verb == setValue && len(o.at) == 2 {
		if err := read(o, &a); err != nil {
			return err
		}
	} else if o.verb == setValue {
		if err := readOptional(o, &a.Address); err != nil {
			return err
		}
	}
	c.envelope = append(c.envelope, filterproto.Edit{Op: filterproto.ReversePathSet, Value: a.path()})
	return nil
}

func (c *changes) recipient(o op) error {
	if c.to == nil {
		for _, r := range c.inv.m.Item.Envelope.Recipients {
			if r.Status == queue.Pending {
				c.to = append(c.to, r.Path)
			}
		}
	}
	if len(o.at) == 2 && o.verb == addValue {
		return c.addRecipient(o)
	}
	if len(o.at) < 3 || o.verb == addValue {
		return unknown(o)
	}
	n, ok := position(o.at[2])
	if !ok || n >= len(c.to) {
		return scanner.Protocol("%s: %.60q is not there", who, o.path)
	}
	var a address
	switch {
	case o.verb == deleteValue && len(o.at) == 3:
		c.edit(filterproto.RecipientDelete, c.to[n], "")
		c.to = append(c.to[:n:n], c.to[n+1:]...)
		return nil
	case o.verb == setValue && len(o.at) == 3:
		if err := read(o, &a); err != nil {
			return err
		}
	case o.verb == setValue && len(o.at) == 4 && o.at[3] == "address":
		if err := read(o, &a.Address); err != nil {
			return err
		}
	default:
		return unknown(o)
	}
	if a.path() == c.to[n] {
		return nil
	}
	c.edit(filterproto.RecipientDelete, c.to[n], "")
	c.edit(filterproto.RecipientAdd, a.path(), a.params())
	c.to[n] = a.path()
	return nil
}

func (c *changes) addRecipient(o op) error {
	var a address
	if err := read(o, &a); err != nil {
		return err
	}
	if o.index > len(c.to) {
		return scanner.Protocol("%s: no place %d among the recipients", who, o.index)
	}
	c.edit(filterproto.RecipientAdd, a.path(), a.params())
	i := o.index
	if i < 0 {
		i = len(c.to)
	}
	c.to = append(c.to[:i:i], append([]string{a.path()}, c.to[i:]...)...)
	return nil
}

func (c *changes) edit(op filterproto.EditOp, value, params string) {
	c.envelope = append(c.envelope, filterproto.Edit{Op: op, Value: value, Params: params})
}
