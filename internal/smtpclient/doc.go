// Package smtpclient hands messages to a next hop over SMTP or LMTP (RFC 5321,
// RFC 2033): one Conn is one session, which takes one transaction after the
// other.
//
// It uses what the next hop offers: PIPELINING (MAIL, every RCPT and DATA go out
// in one write), SIZE, 8BITMIME, SMTPUTF8, DSN, STARTTLS, REQUIRETLS, LIMITS.
// Where EHLO is refused it says HELO.
//
// # Content
//
// Octets go out as they are: no line end is rewritten, nothing is folded or
// re-encoded. Three things are done, all undone by the receiver or demanded by
// RFC 5321: a dot at the start of a line is doubled; CRLF is added where the
// content does not end with it; and a dot between a bare CR or LF and another
// line end, which a lax receiver could take for the end of the data, is doubled
// too.
//
// # What a peer may do
//
// Reply lines, their length and number are bounded, each reply has a time limit
// (RFC 5321 §4.5.3.2), and octets sent before a TLS handshake that should have
// come after it end the connection. Nothing a peer or an envelope holds can put
// a second command on the wire.
//
// # Errors
//
// A reply belongs to a recipient; an error belongs to the connection, which is
// of no use after it. Which of the two makes a recipient permanent or transient
// is for the caller to say; Outcome tells what was received and how far the
// dialogue went. This package knows no queue and no configuration, and never
// retries.
package smtpclient
