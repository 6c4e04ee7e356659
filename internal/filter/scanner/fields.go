package scanner

import (
	"bytes"
	"slices"
	"strings"

	"mtad/filterproto"
)

// Bounds of what Forged remembers.
const (
	maxForged    = 200 // names
	maxFieldName = 76  // octets: longer ones are beyond a verdict's edits
)

// Forged is a Writer that looks at a message as it passes on its way to a
// scanner, and remembers the names of the header fields that begin with one of
// Prefixes: they claim to be a scanner's, and came from outside.
//
// It remembers 200 different names; who sends more has made a message that no
// reader would believe anyway.
type Forged struct {
	Prefixes []string // lower case

	names []string
	line  []byte // start of the current line
	skip  bool   // the rest of the line does not matter
	over  bool   // the header section is
}

// Write looks at the next octets. It never fails.
func (f *Forged) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && !f.over {
		piece := p
		i := bytes.IndexByte(p, '\n')
		if i >= 0 {
			piece = p[:i]
			p = p[i+1:]
		} else {
			p = nil
		}
		f.piece(piece)
		if i >= 0 {
			f.end()
		}
	}
	return n, nil
}

func (f *Forged) piece(b []byte) {
	if f.skip {
		return
	}
	room := maxFieldName + 2 - len(f.line)
	f.line = append(f.line, b[:min(len(b), room)]...)
	if i := bytes.IndexByte(f.line, ':'); i >= 0 {
		f.field(string(bytes.TrimRight(f.line[:i], " \t")))
		f.skip = true
	} else if len(f.line) == maxFieldName+2 {
		f.skip = true
	}
}

// end is the end of a line: an empty one ends the header section.
func (f *Forged) end() {
	if !f.skip && len(bytes.TrimRight(f.line, "\r")) == 0 {
		f.over = true
	}
	f.line, f.skip = f.line[:0], false
}

func (f *Forged) field(name string) {
	lower := strings.ToLower(name)
	if len(lower) > maxFieldName || len(f.names) == maxForged || slices.Contains(f.names, lower) || !nameOK(lower) {
		return
	}
	for _, p := range f.Prefixes {
		if strings.HasPrefix(lower, p) {
			f.names = append(f.names, lower)
			return
		}
	}
}

func nameOK(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}

// Remove are the edits that take off the fields found, and all called like one of
// names.
func (f *Forged) Remove(names ...string) []filterproto.Edit {
	all := slices.Clone(f.names)
	for _, n := range names {
		if n = strings.ToLower(n); n != "" && !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	edits := make([]filterproto.Edit, 0, len(all))
	for _, n := range all {
		edits = append(edits, filterproto.Edit{Op: filterproto.HeaderDelete, Name: n})
	}
	return edits
}

// OnTop is the edit that puts a field on top of the message.
func OnTop(name, value string) filterproto.Edit {
	return filterproto.Edit{Op: filterproto.HeaderInsert, Name: name, Value: value}
}
