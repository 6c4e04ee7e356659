package smtp

import "strings"

// Attr is an attribute of XCLIENT or XFORWARD (Postfix's XCLIENT_README and
// XFORWARD_README).
type Attr struct {
	Name  string // upper case
	Value string // decoded; "" when Unavailable
	// Unavailable: the value was [UNAVAILABLE] or [TEMPUNAVAIL].
	Unavailable bool
}

// Bounds of one XCLIENT or XFORWARD command.
const (
	MaxAttrs     = 16
	MaxAttrValue = 255 // octets, decoded
)

// ParseAttrs reads "name=value ...", values in xtext. A value with control
// characters or octets outside US-ASCII is refused: nothing that could end a
// line gets through.
func ParseAttrs(arg string) ([]Attr, *Reply) {
	var list []Attr
	for word := range strings.SplitSeq(arg, " ") {
		if word == "" {
			continue
		}
		name, value, ok := strings.Cut(word, "=")
		if !ok || !isAttrName(name) {
			return nil, badParam("an attribute is NAME=VALUE")
		}
		a := Attr{Name: strings.ToUpper(name)}
		if strings.EqualFold(value, "[UNAVAILABLE]") || strings.EqualFold(value, "[TEMPUNAVAIL]") {
			a.Unavailable = true
		} else if a.Value, ok = ParseXtext(value); !ok || !isPrintable(a.Value) || len(a.Value) > MaxAttrValue {
			return nil, badParam("bad attribute value")
		}
		for _, o := range list {
			if o.Name == a.Name {
				return nil, badParam("an attribute was given twice")
			}
		}
		if list = append(list, a); len(list) > MaxAttrs {
			return nil, badParam("too many attributes")
		}
	}
	if len(list) == 0 {
		return nil, badParam("an attribute is NAME=VALUE")
	}
	return list, nil
}

func isAttrName(s string) bool {
	for i := range len(s) {
		if !isAlnum(s[i]) && s[i] != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 32
}
