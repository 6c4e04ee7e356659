// Package smtp is the wire grammar of SMTP that server and client share:
// replies with enhanced status codes (RFC 5321 §4.2, RFC 2034, RFC 3463),
// command lines, paths (RFC 5321 §4.1.2, RFC 6531 §3.3), the parameters of
// MAIL and RCPT (RFC 1870, RFC 3461, RFC 6152, RFC 6531), xtext (RFC 3461 §4),
// the attributes of XCLIENT and XFORWARD, and the dot encoding of mail data.
//
// It reads strings that its caller has bounded, does no I/O and keeps no
// state. What it refuses comes back as a Reply that can be sent to the peer as
// it is: no octet of the peer's input is in it.
//
// This package stays free of dependencies outside the standard library.
package smtp
