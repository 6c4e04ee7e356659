package filter

import (
	"slices"
	"strings"

	"mtad/filterproto"
)

// headerEdit reports whether op changes the header section only.
func headerEdit(op filterproto.EditOp) bool {
	switch op {
	case filterproto.HeaderAdd, filterproto.HeaderInsert, filterproto.HeaderChange, filterproto.HeaderDelete:
		return true
	}
	return false
}

// apply makes one header edit, which was checked before.
func (s *section) apply(e filterproto.Edit) {
	switch e.Op {
	case filterproto.HeaderAdd:
		s.fields = append(s.fields, s.field(e))
	case filterproto.HeaderInsert:
		i := min(e.Index, len(s.fields))
		s.fields = slices.Insert(s.fields, i, s.field(e))
	case filterproto.HeaderChange:
		if i := s.find(e.Name, max(1, e.Index)); i >= 0 {
			s.fields[i] = s.field(e)
		} else {
			s.fields = append(s.fields, s.field(e))
		}
	case filterproto.HeaderDelete:
		s.remove(e.Name, e.Index)
	}
}

func (s *section) remove(name string, index int) {
	if index == 0 {
		s.fields = slices.DeleteFunc(s.fields, func(f []byte) bool { return isNamed(f, name) })
		return
	}
	if i := s.find(name, index); i >= 0 {
		s.fields = slices.Delete(s.fields, i, i+1)
	}
}

// field writes "Name: Value" with the section's line end, also inside a folded
// value.
func (s *section) field(e filterproto.Edit) []byte {
	value := strings.ReplaceAll(e.Value, "\r\n", "\n")
	if s.eol != "\n" {
		value = strings.ReplaceAll(value, "\n", s.eol)
	}
	sep := ": "
	if e.Exact || value != "" && (value[0] == ' ' || value[0] == '\t' || value[0] == '\r' || value[0] == '\n') {
		sep = ":"
	}
	return []byte(e.Name + sep + value + s.eol)
}
