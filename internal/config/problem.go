package config

import (
	"fmt"
	"sort"
	"strings"
)

// Position is a place in the file, both counted from 1; the zero Position is
// the file as a whole.
type Position struct{ Line, Column int }

// Problem is one fault of a configuration.
type Problem struct {
	File string
	Position
	// Key is the path of the setting, as in Keys but with names and indexes
	// filled in: "listeners.mx.address".
	Key     string
	Message string
	Hint    string // what to write instead; may be empty
}

// Error is "file:line:column: message".
func (p *Problem) Error() string {
	if p.Line == 0 {
		return p.File + ": " + p.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
}

// Problems are all faults of a configuration, in the order of the file.
type Problems []*Problem

// Error is one line for each fault.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

func (ps Problems) sort() {
	sort.SliceStable(ps, func(i, j int) bool {
		a, b := ps[i].Position, ps[j].Position
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Column < b.Column
	})
}

// maxProblems bounds what is collected from one file.
const maxProblems = 100
