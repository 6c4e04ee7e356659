package route

import (
	"strings"
	"unicode"

	"mtad/internal/smtp"
)

// maxMailbox bounds a mailbox name in octets: with prefix and suffix it stays a
// file name everywhere (255).
const maxMailbox = 200

var (
	noMailbox = smtp.Reply{Code: 550, Enhanced: "5.1.1", Text: "no such mailbox"}
	routed    = smtp.Reply{Code: 554, Enhanced: "5.7.1", Text: "mail with a route in the local part is not relayed"}
)

// Mailbox maps an unquoted local part to the name of a mailbox: one path
// element, ASCII letters in lower case (this host may decide so, RFC 5321 §2.4).
// It refuses with a permanent *Error every name that a file system or a shell
// could take for more than a name; two local parts that differ in more than
// ASCII case never get the same name.
func Mailbox(local string) (string, error) {
	if r, bad := mailboxFault(local); bad {
		return "", refuse(local, r.Code, r.Enhanced, r.Text)
	}
	return lower(local), nil
}

func mailboxFault(local string) (smtp.Reply, bool) {
	switch {
	case strings.ContainsAny(local, "@%!"):
		return routed, true
	case local == "", len(local) > maxMailbox:
		return noMailbox, true
	case local[0] == '.', local[0] == '-', local[0] == '~':
		return noMailbox, true
	case strings.ContainsAny(local, `/\:`), strings.ContainsFunc(local, unprintable):
		return noMailbox, true
	}
	return smtp.Reply{}, false
}

func unprintable(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }
