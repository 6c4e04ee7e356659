package submission

import (
	"fmt"
)

// Append appends the block as Read takes it, the blank line included, with LF at
// the ends of lines. An envelope that Read would not give is refused with what
// Read would say, and nothing is appended.
func (e *Envelope) Append(dst []byte) ([]byte, error) {
	if len(e.Recipients) == 0 {
		return dst, &Error{Attribute: nameRecipient, Reason: "is missing"}
	}
	b := append(dst, nameVersion+": "+Version+"\n"...)
	var err error
	for i := range messageAttributes {
		a := &messageAttributes[i]
		v := a.text(e)
		if v == "" {
			continue
		}
		if b, err = appendLine(b, a.name, v, func(v string) error { return a.set(&Envelope{}, v) }); err != nil {
			return dst, err
		}
	}
	for i := range e.Recipients {
		if b, err = e.Recipients[i].append(b); err != nil {
			return dst, err
		}
	}
	return append(b, '\n'), nil
}

func (r *Recipient) append(b []byte) (_ []byte, err error) {
	b, err = appendLine(b, nameRecipient, "<"+r.Path+">", func(v string) error {
		if p, err := ParseAddress(v); err != nil || p == "" {
			return fmt.Errorf("not an address")
		}
		return nil
	})
	if err == nil && r.Notify != 0 {
		b, err = appendLine(b, nameNotify, notifyText(r.Notify), func(v string) error { _, err := ParseNotify(v); return err })
	}
	if err == nil && r.ORCPT != "" {
		b, err = appendLine(b, nameORCPT, orcptText(r.ORCPT), func(v string) error { _, err := ParseORCPT(v); return err })
	}
	return b, err
}

// appendLine writes what check would read back.
func appendLine(b []byte, name, value string, check func(string) error) ([]byte, error) {
	if !clean([]byte(value)) {
		return nil, &Error{Attribute: name, Reason: "control characters, or not UTF-8"}
	}
	if value[0] == ' ' || value[len(value)-1] == ' ' {
		return nil, &Error{Attribute: name, Reason: "a space at its beginning or end"}
	}
	if err := check(value); err != nil {
		return nil, &Error{Attribute: name, Reason: err.Error()}
	}
	b = append(append(b, name...), ": "...)
	return append(append(b, value...), '\n'), nil
}
