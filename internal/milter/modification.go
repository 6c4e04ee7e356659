package milter

import (
	"encoding/binary"
	"fmt"
)

// ModKind is a kind of modification.
type ModKind byte

// The kinds, with the fields that count.
const (
	AddHeader       ModKind = 'h' // Name, Value: behind the others
	InsertHeader    ModKind = 'i' // Index among all fields, our own trace field being 0; Name, Value
	ChangeHeader    ModKind = 'm' // Index among those of the name, 0 and 1 the first; no Value deletes
	ReplaceBody     ModKind = 'b' // Body: another piece of the new body
	AddRecipient    ModKind = '+' // Path
	AddRecipientArg ModKind = '2' // Path, Args
	DeleteRecipient ModKind = '-' // Path
	ChangeSender    ModKind = 'e' // Path, Args
	Quarantine      ModKind = 'q' // Value: the reason
)

// Modification is a change that a filter asks for at the end of a message.
type Modification struct {
	Kind  ModKind
	Index uint32
	Name  string
	Value string
	Path  string // as the filter wrote it, with brackets or without
	Args  string // ESMTP parameters
	Body  []byte // good until the function it was given to returns
}

func isModification(command byte) bool {
	switch ModKind(command) {
	case AddHeader, InsertHeader, ChangeHeader, ReplaceBody, AddRecipient, AddRecipientArg, DeleteRecipient, ChangeSender, Quarantine:
		return true
	}
	return false
}

func parseModification(command byte, data []byte) (Modification, error) {
	m := Modification{Kind: ModKind(command)}
	low, high := 1, 1
	switch m.Kind {
	case ReplaceBody:
		m.Body = data
		return m, nil
	case InsertHeader, ChangeHeader:
		if len(data) < 4 {
			return m, badModification(command)
		}
		m.Index, data = binary.BigEndian.Uint32(data), data[4:]
		low, high = 2, 2
	case AddHeader:
		low, high = 2, 2
	case AddRecipientArg, ChangeSender:
		high = 2
	}
	list, ok := cutStrings(data, low, high)
	if !ok {
		return m, badModification(command)
	}
	list = append(list, "")
	switch m.Kind {
	case AddHeader, InsertHeader, ChangeHeader:
		m.Name, m.Value = list[0], list[1]
	case Quarantine:
		m.Value = list[0]
	default:
		m.Path, m.Args = list[0], list[1]
	}
	return m, nil
}

func badModification(command byte) error {
	return protocolError("end", fmt.Sprintf("bad modification %q", command))
}
