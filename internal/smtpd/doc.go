// Package smtpd receives mail by SMTP: RFC 5321 with PIPELINING (RFC 2920),
// SIZE (RFC 1870), 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531), CHUNKING (RFC
// 3030), DSN (RFC 3461), ENHANCEDSTATUSCODES (RFC 2034), STARTTLS (RFC 3207),
// LIMITS (RFC 9422), and, from listed clients only, XCLIENT, XFORWARD and the
// PROXY protocol. Content goes through package intake, whose Result is the
// reply: 250 is sent after the commit and carries the queue ID.
//
// # Who may send what
//
// A client in Options.Networks, or one that logged in, may send to anywhere.
// Anybody else may send to domains that Options.Local or Options.Relay name,
// and not with an address that routes on: a local part with "@", "%" or "!" in
// it, quoted or not. Source routes are dropped, and the mailbox behind them
// decides. A domain with a trailing dot or an empty label is a syntax error.
//
// # Line ends
//
// Only CRLF ends a line, and only CRLF "." CRLF ends the data. With LineEnds
// Reject, the default, content with a bare CR or LF is read to its true end and
// refused with 550 5.6.11, and a command with one gets 500 5.5.2 and the
// connection is closed: what comes after it cannot be trusted to be a command.
// With Normalize a bare LF in content becomes CRLF, a bare CR a space, and a
// command may end with LF alone. In neither mode does a bare CR or LF take part
// in the end of data. NUL and other octets of content are left as they are.
//
// BINARYMIME is not offered: a next hop may not take it, and mtad does not
// recode content. Content sent by BDAT follows the same rules for line ends.
//
// # Replies
//
// Replies to pipelined commands are collected and written at once, before the
// session waits for input. A peer never sees an error's text.
package smtpd
