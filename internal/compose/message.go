package compose

import (
	"io"
	"strings"
	"time"
)

// Message is what a message is made of. The zero value of a field leaves it out.
type Message struct {
	From    Address // required
	Sender  Address
	ReplyTo []Address
	To, Cc  []Address
	Subject string
	// Text and HTML are UTF-8 with line ends of any kind; nil: there is none.
	Text, HTML  *io.SectionReader
	Attachments []Attachment
	// Fields follow those above, in order.
	Fields []Field

	Date      time.Time
	MessageID string // without angle brackets; one of Fields goes before it

	text, html shape // what Check saw
}

// Field is a header field of the caller's own.
type Field struct{ Name, Value string }

// Attachment is a part beside the texts.
type Attachment struct {
	Name string // file name; may be empty
	Type string // media type; "": application/octet-stream
	// CID is the Content-ID without angle brackets, by which the HTML shows the part.
	CID string
	// Disposition is "attachment" or "inline"; "": inline with a CID.
	Disposition string
	// Content is in base64, line ends anywhere. Required.
	Content *io.SectionReader
}

// String is octets that are in memory.
func String(s string) *io.SectionReader {
	return io.NewSectionReader(strings.NewReader(s), 0, int64(len(s)))
}

// Addresses are all that stand in From, Sender, Reply-To, To and Cc.
func (m *Message) Addresses() []Address {
	list := []Address{m.From}
	if m.Sender.Path != "" {
		list = append(list, m.Sender)
	}
	return append(append(append(list, m.ReplyTo...), m.To...), m.Cc...)
}

// UTF8 says that the header section holds an address that needs SMTPUTF8.
func (m *Message) UTF8() bool {
	for _, a := range m.Addresses() {
		if !isASCII(a.Path) {
			return true
		}
	}
	return false
}

// Error is what is wrong with a Message. Neither text repeats a value.
type Error struct {
	Field  string // as in attachments[2].name
	Reason string
}

func (e *Error) Error() string { return "compose: " + e.Field + ": " + e.Reason }
