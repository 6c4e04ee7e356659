// Package msgauth checks who a message is from, and signs messages: SPF
// (RFC 7208), DKIM (RFC 6376, 8301, 8463), DMARC (RFC 7489), and the
// Authentication-Results field (RFC 8601) that says what came of it.
//
// Check takes a message as it was received, as exact octets, and answers with
// Results. Nothing but the DNS is asked, through a Resolver that the caller
// gives. Trouble with the DNS is a result (temperror), never an error: an error
// means that the message could not be read.
//
// # Bounds
//
// Whatever a message or the DNS holds, the work is bounded: MaxSignatures
// signatures are verified, SPF asks as RFC 7208 §4.6.4 allows, and a message
// that would make canonicalisation expensive (see Signable) has signatures that
// are not acceptable (result policy). The content is read once and not kept.
//
// The cryptography and the syntax of records are those of go-msgauth and
// blitiri.com.ar/go/spf. This package knows no queue and no configuration.
package msgauth
