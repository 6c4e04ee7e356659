package intake

import (
	"strings"
	"time"

	"mtad/internal/smtp"
	"mtad/queue"
)

// maxAtom bounds what one value of a client may take in the trace field.
const maxAtom = 255

// Received is our trace field (RFC 5321 §4.4) with CRLF at the end of each
// line. The "with" clause is c.Protocol (RFC 3848, RFC 6531 §4.3); TLS is named
// in a comment; "for" is there only with one recipient, so that it tells nobody
// of the others. What the client said is reduced to octets that can end neither
// line nor comment.
func Received(hostname string, c *queue.Client, env *queue.Envelope, id queue.ID, at time.Time) []byte {
	b := make([]byte, 0, 320)
	b = append(b, "Received: "...)
	if c.Helo != "" || c.Address != "" {
		b = appendFrom(b, c)
	}
	b = append(b, "by "...)
	b = appendToken(b, hostname)
	b = append(b, " with "...)
	b = appendToken(b, protocol(c))
	b = appendTLS(b, c)
	b = append(b, "\r\n\tid "...)
	b = append(b, id...)
	if len(env.Recipients) == 1 {
		b = appendFor(b, &env.Recipients[0])
	}
	b = append(b, "; "...)
	b = at.AppendFormat(b, "Mon, 2 Jan 2006 15:04:05 -0700")
	return append(b, '\r', '\n')
}

func protocol(c *queue.Client) string {
	if c.Protocol == "" {
		return "local"
	}
	return c.Protocol
}

// appendFrom appends "from HELO (NAME [ADDRESS])". A HELO argument that is no
// domain and no literal cannot stand as one: the address takes its place.
func appendFrom(b []byte, c *queue.Client) []byte {
	b = append(b, "from "...)
	_, literal := smtp.ParseLiteral(c.Helo)
	valid := literal || smtp.ValidDomain(c.Helo)
	switch {
	case valid:
		b = appendToken(b, c.Helo)
	case c.Address != "":
		b = appendLiteral(b, c.Address)
	default:
		b = append(b, "unknown"...)
	}
	b = append(b, " ("...)
	if c.Name == "" {
		b = append(b, "unknown"...)
	}
	b = appendToken(b, c.Name)
	if c.Address != "" {
		b = appendLiteral(append(b, ' '), c.Address)
	}
	if !valid && c.Helo != "" {
		b = appendToken(append(b, " helo="...), c.Helo)
	}
	return append(b, ")\r\n\t"...)
}

// appendLiteral writes an address as RFC 5321 §4.1.3 wants it.
func appendLiteral(b []byte, address string) []byte {
	b = append(b, '[')
	if strings.IndexByte(address, ':') >= 0 {
		b = append(b, "IPv6:"...)
	}
	return append(appendToken(b, address), ']')
}

func appendTLS(b []byte, c *queue.Client) []byte {
	if c.TLSProtocol == "" {
		return b
	}
	b = append(b, " ("...)
	b = appendToken(b, c.TLSProtocol)
	if c.TLSCipher != "" {
		b = appendToken(append(b, ' '), c.TLSCipher)
	}
	return append(b, ')')
}

// appendFor appends the for clause with the forward-path as the client gave it.
// A path that would have to be changed to be safe is left out.
func appendFor(b []byte, r *queue.Recipient) []byte {
	path := r.Path
	if r.OrigPath != "" {
		path = r.OrigPath
	}
	if len(path) > maxAtom {
		return b
	}
	for i := range len(path) {
		if c := path[i]; c <= ' ' || c == 0x7f || c == '<' || c == '>' {
			return b
		}
	}
	b = append(b, "\r\n\tfor <"...)
	return append(append(b, path...), '>')
}

// appendToken appends s with everything but letters, digits and a few marks
// turned into "?". Brackets pass only as the literal's own.
func appendToken(b []byte, s string) []byte {
	if len(s) > maxAtom {
		s = s[:maxAtom]
	}
	_, literal := smtp.ParseLiteral(s)
	for i := range len(s) {
		c := s[i]
		if !literal && !isTokenByte(c) {
			c = '?'
		}
		b = append(b, c)
	}
	return b
}

func isTokenByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._:+/", c) >= 0
}
