package mailscanner

import (
	"bytes"
	"slices"
	"strings"

	"mtad/filterproto"
)

// maxDiff bounds the work of comparing two lists of fields that differ.
const maxDiff = 1 << 18

// diff returns the edits that make theirs of ours and leave alone what both have in
// the same order. ok is false when edits cannot say it.
func diff(ours, theirs [][]byte) (edits []filterproto.Edit, ok bool) {
	start := 0
	a, b := keys(ours), keys(theirs)
	for start < min(len(a), len(b)) && a[start] == b[start] {
		start++
	}
	e := editor{fields: slices.Clone(ours), at: start}
	a, b = a[start:], b[start:]
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	if len(a)*len(b) > maxDiff {
		return nil, false
	}
	common := longest(a, b)
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			e.at++
			i++
			j++
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			e.remove()
			i++
		default:
			if !e.insert(theirs[start+j]) {
				return nil, false
			}
			j++
		}
	}
	return e.edits, len(e.edits) <= filterproto.MaxEdits/2
}

func keys(fields [][]byte) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = plain(f)
	}
	return out
}

// longest is the table of the longest common subsequence: [i][j] is its length for
// a[i:] and b[j:].
func longest(a, b []string) [][]int32 {
	table := make([][]int32, len(a)+1)
	for i := range table {
		table[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
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
	fields [][]byte
	at     int
	edits  []filterproto.Edit
}

// remove takes off the field at the place.
func (e *editor) remove() {
	name := e.fields[e.at][:nameLen(e.fields[e.at])]
	index := 1
	for _, f := range e.fields[:e.at] {
		if bytes.EqualFold(f[:nameLen(f)], name) {
			index++
		}
	}
	e.fields = slices.Delete(e.fields, e.at, e.at+1)
	e.edits = append(e.edits, filterproto.Edit{Op: filterproto.HeaderDelete, Name: string(name), Index: index})
}

// insert puts a field at the place and goes behind it, if an edit can say it.
func (e *editor) insert(field []byte) bool {
	n := nameLen(field)
	value := strings.TrimSuffix(strings.TrimSuffix(string(field[n+1:]), "\n"), "\r")
	if n > maxName || field[n] != ':' || !sayable(value) {
		return false
	}
	e.fields = slices.Insert(e.fields, e.at, field)
	e.edits = append(e.edits, filterproto.Edit{Op: filterproto.HeaderInsert, Name: string(field[:n]), Value: value, Index: e.at, Exact: true})
	e.at++
	return true
}

const maxName = 76 // spec/filter.md §7: name and colon stay within one line

// sayable reports whether a value may stand in an edit: bounded, without NUL and bare
// CR, and without a line of white space alone.
func sayable(value string) bool {
	if len(value) > filterproto.MaxValue/2 || strings.Contains(value, "\x00") {
		return false
	}
	for i, line := range strings.Split(strings.ReplaceAll(value, "\r\n", "\n"), "\n") {
		if strings.Contains(line, "\r") || i > 0 && strings.Trim(line, " \t") == "" {
			return false
		}
	}
	return true
}
