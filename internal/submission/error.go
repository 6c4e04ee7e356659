package submission

import (
	"errors"
	"fmt"
)

// Error says what is wrong with a block.
type Error struct {
	Line int // from 1; 0: the block as a whole
	// Attribute is the name of the attribute, one of the specification's, or "".
	Attribute string
	Reason    string // one line, without anything of the input
	// TooLarge: a bound was passed; the same block may be good for somebody else.
	TooLarge bool
}

func (e *Error) Error() string {
	s := "submission: "
	if e.Line > 0 {
		s += fmt.Sprintf("line %d: ", e.Line)
	}
	return s + e.Text()
}

// Text is the reason with the attribute's name, without the line.
func (e *Error) Text() string {
	if e.Attribute != "" {
		return e.Attribute + ": " + e.Reason
	}
	return e.Reason
}

var errEmpty = errors.New("an empty value")

func bad(reason string) error { return errors.New(reason) }
