package milterfilter

import (
	"slices"
	"strings"

	"mtad/internal/milter"
	"mtad/queue"
)

// greeted is all that a milter is told at connect and HELO, macros included: what
// two messages have to have in common to follow each other in one conversation.
type greeted struct {
	peer                              milter.Peer
	helo, listener, protocol          string
	tls, cipher                       string
	bits                              int
	certSubject, certIssuer, certHash string
}

func greetedBy(c *queue.Client) greeted {
	return greeted{
		peer: peerOf(c), helo: heloOf(c), listener: c.Listener, protocol: c.Protocol, tls: c.TLSProtocol, cipher: c.TLSCipher,
		bits: c.TLSKeySize, certSubject: c.CertSubject, certIssuer: c.CertIssuer, certHash: c.CertFinger,
	}
}

// mailLine is what a milter is told at MAIL, macros included.
func mailLine(e *queue.Envelope) string {
	c := &e.Client
	return strings.Join(append([]string{e.ReversePath, c.Protocol, c.SASLMethod, c.SASLUser, c.SASLSender}, mailArgs(e)...), "\x00")
}

// rcptLine is what it is told at RCPT.
func rcptLine(r *queue.Recipient) string {
	return strings.Join(append([]string{r.Path}, rcptArgs(r)...), "\x00")
}

// toldOf are the lines of an envelope as a replay would tell it.
func toldOf(e *queue.Envelope) []string {
	lines := []string{mailLine(e)}
	for r := range waiting(e) {
		lines = append(lines, rcptLine(r))
	}
	return lines
}

// waiting are the recipients that a milter is told of: those that wait, each path
// once.
func waiting(e *queue.Envelope) func(yield func(*queue.Recipient) bool) {
	return func(yield func(*queue.Recipient) bool) {
		seen := make(map[string]bool, len(e.Recipients))
		for i := range e.Recipients {
			r := &e.Recipients[i]
			if r.Status != queue.Pending || seen[r.Path] {
				continue
			}
			seen[r.Path] = true
			if !yield(r) {
				return
			}
		}
	}
}

// startsWith says that the first lines of list are head.
func startsWith(list, head []string) bool {
	return len(list) >= len(head) && slices.Equal(list[:len(head)], head)
}
