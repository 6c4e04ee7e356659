package mtahooksfilter

import (
	"slices"
	"strings"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/filter/scanner"
)

// fieldList is a header section as the operations of an answer see it: a list in
// which fields are changed, added and removed by their place.
type fieldList struct {
	original []filter.Field
	slots    []slot
	gone     []int // places of original fields that were removed
}

// slot is a field of the list.
type slot struct {
	origin  int // place among the original fields; -1: it is new
	changed bool
	name    string // of a new one
	value   string // of a new or a changed one
}

func newFieldList(fields []filter.Field) *fieldList {
	l := &fieldList{original: fields, slots: make([]slot, len(fields))}
	for i := range l.slots {
		l.slots[i].origin = i
	}
	return l
}

// header is a field in an answer.
type header struct {
	Name  *string `json:"name"`
	Value *string `json:"value"`
}

func (h header) check(o op) error {
	if h.Name == nil || h.Value == nil {
		return scanner.Protocol("%s: %.60q wants a name and a value", who, o.path)
	}
	return nil
}

// insert adds a field.
func (l *fieldList) insert(o op) error {
	var h header
	if err := read(o, &h); err != nil {
		return err
	}
	if err := h.check(o); err != nil {
		return err
	}
	i := o.index
	if i < 0 {
		i = len(l.slots)
	}
	if i > len(l.slots) {
		return scanner.Protocol("%s: no place %d among the header fields", who, i)
	}
	l.slots = slices.Insert(l.slots, i, slot{origin: -1, name: *h.Name, value: *h.Value})
	return nil
}

// remove takes off the field at place n.
func (l *fieldList) remove(n int) {
	if o := l.slots[n].origin; o >= 0 {
		l.gone = append(l.gone, o)
	}
	l.slots = slices.Delete(l.slots, n, n+1)
}

// set changes the field at place n: all of it, or its value, or its name.
func (l *fieldList) set(n int, o op) error {
	h := header{}
	s := &l.slots[n]
	name, value := s.name, s.value
	if s.origin >= 0 {
		name = l.original[s.origin].Name
		if !s.changed {
			value = shown(l.original[s.origin].Value)
		}
	}
	switch {
	case len(o.at) == 3:
		if err := read(o, &h); err != nil {
			return err
		}
		if err := h.check(o); err != nil {
			return err
		}
		name, value = *h.Name, *h.Value
	case o.at[3] == "value":
		if err := read(o, &value); err != nil {
			return err
		}
	case o.at[3] == "name":
		if err := read(o, &name); err != nil {
			return err
		}
	default:
		return unknown(o)
	}
	if s.origin >= 0 && strings.EqualFold(name, l.original[s.origin].Name) {
		s.changed, s.value = true, value
		return nil
	}
	if s.origin >= 0 {
		l.gone = append(l.gone, s.origin)
	}
	*s = slot{origin: -1, name: name, value: value}
	return nil
}

// subject sets the first Subject, or adds one.
func (l *fieldList) subject(value string) {
	for i := range l.slots {
		s := &l.slots[i]
		if s.origin >= 0 && strings.EqualFold(l.original[s.origin].Name, "Subject") {
			s.changed, s.value = true, value
			return
		}
	}
	l.slots = append(l.slots, slot{origin: -1, name: "Subject", value: value})
}

// edits are what the list has become: changes and removals, the last first, so
// that the count of a name still holds for those before; then what is new, from
// the top, so that every place is the final one.
func (l *fieldList) edits() []filterproto.Edit {
	type touch struct {
		at   int
		edit filterproto.Edit
	}
	var touched []touch
	for _, g := range l.gone {
		touched = append(touched, touch{g, filterproto.Edit{Op: filterproto.HeaderDelete}})
	}
	for _, s := range l.slots {
		if s.changed {
			touched = append(touched, touch{s.origin, filterproto.Edit{Op: filterproto.HeaderChange, Value: s.value}})
		}
	}
	slices.SortFunc(touched, func(a, b touch) int { return b.at - a.at })
	var list []filterproto.Edit
	for _, t := range touched {
		t.edit.Name, t.edit.Index = l.original[t.at].Name, l.count(t.at)
		list = append(list, t.edit)
	}
	for i, s := range l.slots {
		if s.origin < 0 {
			list = append(list, l.addition(i))
		}
	}
	return list
}

func (l *fieldList) addition(i int) filterproto.Edit {
	e := filterproto.Edit{Op: filterproto.HeaderInsert, Name: l.slots[i].name, Value: l.slots[i].value, Index: i}
	if !slices.ContainsFunc(l.slots[i:], func(s slot) bool { return s.origin >= 0 }) {
		e.Op, e.Index = filterproto.HeaderAdd, 0
	}
	return e
}

// count is the how-manieth of its name an original field is.
func (l *fieldList) count(at int) int {
	n := 0
	for _, f := range l.original[:at+1] {
		if strings.EqualFold(f.Name, l.original[at].Name) {
			n++
		}
	}
	return n
}
