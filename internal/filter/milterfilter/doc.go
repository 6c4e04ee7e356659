// Package milterfilter makes filters of milters (internal/milter).
//
// Filter is a filter.Kind: it leads a milter through a message that the queue has,
// whatever door it came through and whether its client still waits: connect, helo,
// mail, each recipient, data, header fields, body, end. What the milter answers
// becomes one verdict, so that nothing of it takes effect when the milter is lost
// on the way. A recipient that it refuses gets a verdict of its own.
//
// Gate asks milters while the SMTP dialogue runs, before there is a message. It
// only ever refuses. What passes is judged by the chain: where the client waits for
// that, in the same conversation (Live), otherwise in full.
//
// A conversation that ended a message waits for another of the same client and
// goes on with MAIL, as within any SMTP session: what was told at connect and HELO
// has to be the same, every macro. SMFIC_QUIT_NC, which lets another client follow, is
// used only where it is asked for: libmilter ignores it behind an answer other than
// continue, and filters lose with it what they noted in the negotiation (opendkim, that
// it sees the space behind the colon).
//
// # What a milter is shown
//
// The current generation, octet for octet, without our own trace field: a later
// milter sees the edits of the earlier ones. Line ends inside header values are LF,
// as the protocol wants it. A message without a client came from "localhost",
// 127.0.0.1.
//
// # What its edits mean
//
// Header positions count our own trace field as number 0; what is put above it
// stands directly below it, in the same order. A change of a field that is not
// there adds it. A removal of a recipient that is not there does nothing. A new
// body gets CRLF line ends.
package milterfilter
