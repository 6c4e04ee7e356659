// Package compose makes an Internet message (RFC 5322) of what a program says of
// it: addresses, subject, texts, attachments.
//
// Text beside HTML is multipart/alternative, parts that the HTML shows by their
// Content-ID are multipart/related with it (RFC 2387), attachments make it
// multipart/mixed (RFC 2046). Words outside of ASCII are encoded as RFC 2047 says, file
// names as RFC 2231 says; domains become A-labels. Only an address with a local
// part outside of ASCII stands as it is, and makes the message one that needs
// SMTPUTF8 (RFC 6532): UTF8 says so.
//
// # Promises
//
// Nothing that a value holds begins another field or line: Check refuses control
// characters wherever they would be written, and names what is wrong with a path
// such as attachments[2].name. What passed Check is written without an error of this
// package. Lines have at most 76 octets where they can be broken, and 998 anywhere.
// Bodies and attachments are read from where they are, and twice: memory does not
// grow with their size. Who is in Bcc is nobody's business here: the caller keeps
// it in the envelope.
package compose
