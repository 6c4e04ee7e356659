package spamdfilter

import (
	"slices"
	"strings"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/filter/scanner"
)

// maxDiff bounds the work of comparing two lists of fields that differ.
const maxDiff = 1 << 18

// diff returns the edits that make theirs of ours, field by field, and leave
// alone every field that both have in the same order.
func diff(ours, theirs []filter.Field) ([]filterproto.Edit, error) {
	start := 0
	for start < min(len(ours), len(theirs)) && same(ours[start], theirs[start]) {
		start++
	}
	a, b := ours[start:], theirs[start:]
	for len(a) > 0 && len(b) > 0 && same(a[len(a)-1], b[len(b)-1]) {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	if len(a)*len(b) > maxDiff {
		return nil, scanner.Protocol("spamd gives back a header section that is too different: %d fields for %d", len(theirs), len(ours))
	}
	e := editor{fields: slices.Clone(ours), at: start}
	length := longest(a, b)
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && same(a[i], b[j]):
			e.at++
			i++
			j++
		case j == len(b) || i < len(a) && length[i+1][j] >= length[i][j+1]:
			e.remove()
			i++
		default:
			e.insert(b[j])
			j++
		}
	}
	return e.edits, nil
}

// longest is the table of the longest common subsequence: [i][j] is its length
// for a[i:] and b[j:].
func longest(a, b []filter.Field) [][]int32 {
	table := make([][]int32, len(a)+1)
	for i := range table {
		table[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if same(a[i], b[j]) {
				table[i][j] = table[i+1][j+1] + 1
			} else {
				table[i][j] = max(table[i+1][j], table[i][j+1])
			}
		}
	}
	return table
}

// editor writes edits down and keeps the list as it is after them.
type editor struct {
	fields []filter.Field
	at     int
	edits  []filterproto.Edit
}

// remove takes off the field at the place.
func (e *editor) remove() {
	f := e.fields[e.at]
	n := 1
	for _, before := range e.fields[:e.at] {
		if strings.EqualFold(before.Name, f.Name) {
			n++
		}
	}
	e.fields = slices.Delete(e.fields, e.at, e.at+1)
	e.edits = append(e.edits, filterproto.Edit{Op: filterproto.HeaderDelete, Name: f.Name, Index: n})
}

// insert puts a field at the place and goes behind it.
func (e *editor) insert(f filter.Field) {
	e.fields = slices.Insert(e.fields, e.at, f)
	e.edits = append(e.edits, filterproto.Edit{Op: filterproto.HeaderInsert, Name: f.Name, Value: string(f.Value), Index: e.at, Exact: true})
	e.at++
}
