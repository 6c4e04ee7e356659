package msgauth

import (
	"strconv"
	"strings"
)

// Field is the value of the Authentication-Results field (RFC 8601 §2.2) for
// results, folded, as id says them. It is printable US-ASCII, whatever the
// message held, and has no line over 998 octets.
func (r Results) Field(id string) string {
	w := &resinfo{}
	w.b.WriteString(id)
	w.method("spf", r.SPF.Result, "")
	if r.SPF.Helo {
		w.property("smtp.helo", r.SPF.Domain)
	} else {
		w.property("smtp.mailfrom", r.SPF.mailbox())
	}
	for _, s := range r.Signatures {
		w.method("dkim", s.Result, s.Reason)
		w.property("header.d", s.Domain)
		w.property("header.s", s.Selector)
		w.property("header.a", s.Algorithm)
		w.property("header.b", s.Start)
	}
	switch {
	case r.More > 0:
		w.method("dkim", Policy, strconv.Itoa(r.More)+" more signatures were not looked at")
	case len(r.Signatures) == 0:
		w.method("dkim", None, "")
	}
	w.method("dmarc", r.DMARC.Result, r.DMARC.Reason)
	if r.DMARC.Policy != "" {
		w.b.WriteString(" (p=" + r.DMARC.Policy + " dis=" + r.DMARC.Disposition + ")")
	}
	w.property("header.from", r.DMARC.Domain)
	return w.b.String()
}

// mailbox is the reverse-path, or its domain where the local part is anything
// but simple.
func (s SPF) mailbox() string {
	local, _, found := strings.Cut(s.Mailbox, "@")
	if !found || s.Domain == "" || len(local) > 64 || !simple(local) {
		return s.Domain
	}
	return local + "@" + s.Domain
}

// resinfo writes results.
type resinfo struct{ b strings.Builder }

func (w *resinfo) method(name string, result Result, reason string) {
	w.b.WriteString(";\r\n\t" + name + "=" + string(result))
	if reason != "" {
		w.b.WriteString(" reason=\"" + reason + "\"")
	}
}

// property writes one with a value; a value that is not simple is quoted, and its
// odd octets are left out.
func (w *resinfo) property(name, value string) {
	value = value[:min(len(value), 320)]
	if value == "" {
		return
	}
	if !simple(strings.Replace(value, "@", "", 1)) {
		value = `"` + strings.Map(func(r rune) rune {
			if r <= ' ' || r > '~' || r == '"' || r == '\\' {
				return -1
			}
			return r
		}, value) + `"`
	}
	w.b.WriteString("\r\n\t  " + name + "=" + value)
}

// simple values need no quotes in any reader's eyes.
func simple(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && r != '_' && r != '.' && r != '+' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// Symbols are short names for the results, as SPF_PASS.
func (r Results) Symbols() []string {
	best := None
	for _, s := range r.Signatures {
		if best != Pass {
			best = s.Result
		}
	}
	var list []string
	for _, m := range [...][2]string{{"SPF", string(r.SPF.Result)}, {"DKIM", string(best)}, {"DMARC", string(r.DMARC.Result)}} {
		list = append(list, m[0]+"_"+strings.ToUpper(m[1]))
	}
	return list
}
