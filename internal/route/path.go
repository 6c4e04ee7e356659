package route

import (
	"strings"
	"unicode/utf8"
)

// maxPath bounds a path in octets. RFC 5321 §4.5.3.1.3 asks for 256; longer ones
// occur, and nobody needs more than this.
const maxPath = 1024

// split cuts a mailbox at the "@" before its domain. The local part comes
// without quotes and backslashes (RFC 5321 §4.1.2: they do not belong to the
// name). A path without a domain has domain "".
func split(path string) (local, domain string, ok bool) {
	if len(path) == 0 || len(path) > maxPath || !utf8.ValidString(path) {
		return "", "", false
	}
	if path[0] == '"' {
		return splitQuoted(path)
	}
	i := strings.LastIndexByte(path, '@')
	if i < 0 {
		return path, "", true
	}
	return path[:i], path[i+1:], i > 0 && i < len(path)-1
}

func splitQuoted(path string) (local, domain string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(path); i++ {
		switch c := path[i]; c {
		case '\\':
			i++
			if i == len(path) {
				return "", "", false
			}
			b.WriteByte(path[i])
		case '"':
			rest := path[i+1:]
			if rest == "" {
				return b.String(), "", b.Len() > 0
			}
			return b.String(), rest[1:], b.Len() > 0 && rest[0] == '@' && len(rest) > 1
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}
