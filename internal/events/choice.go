package events

import "mtad/queue"

// Choice is which events a reader wants; the zero value wants all. Gaps are told
// to everybody.
type Choice struct {
	Types []Type
	// ID is a message's, with all its parts and the reports about it, or a part's.
	ID queue.ID
}

// Wants reports whether e is one of them.
func (c *Choice) Wants(e *Event) bool {
	switch {
	case e.Type == "":
		return false
	case e.Type == Gap || e.Type == Test:
		return true
	case !c.wantsType(e.Type):
		return false
	}
	return c.ID == "" || c.about(e.Message)
}

func (c *Choice) wantsType(t Type) bool {
	if len(c.Types) == 0 {
		return true
	}
	for _, w := range c.Types {
		if w == t {
			return true
		}
	}
	return false
}

func (c *Choice) about(m *Message) bool {
	id := string(c.ID)
	return m != nil && (m.Item == id || m.QueueID == id || m.Parent == id)
}
