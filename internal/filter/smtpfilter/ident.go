package smtpfilter

import (
	"bytes"
	"crypto/rand"
	"strings"

	"mtad/queue"
)

// IdentField is the header field that carries the identity to a scanner that
// does not offer XFORWARD IDENT. It is taken out when the message comes back.
const IdentField = "X-Mtad-Ident"

// maxHead bounds how much of a message given back is searched for it, in octets.
const maxHead = 64 << 10

// newIdent is the queue ID, for people, and 130 bits that nobody can guess.
func newIdent(id queue.ID) string { return string(id) + "." + rand.Text() }

// fieldOf is the header field of an identity.
func fieldOf(ident string) []byte { return []byte(IdentField + ": " + ident + "\r\n") }

// cutIdent takes the first IdentField out of the start of a message. head is
// changed.
func cutIdent(head []byte) (ident string, rest []byte) {
	name := []byte(IdentField + ":")
	for at := 0; at < len(head); {
		line := head[at:]
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line = line[:i+1]
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			break
		}
		if len(line) > len(name) && bytes.EqualFold(line[:len(name)], name) {
			ident = strings.TrimSpace(string(line[len(name):]))
			return ident, append(head[:at], head[at+len(line):]...)
		}
		at += len(line)
	}
	return "", head
}

// headEnds reports whether head holds the whole header section.
func headEnds(head []byte) bool {
	return bytes.Contains(head, []byte("\r\n\r\n")) || bytes.Contains(head, []byte("\n\n")) || len(head) > maxHead
}
