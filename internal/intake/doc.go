// Package intake is the one door into the queue: what SMTP, HTTP, the
// submission helper and mtad itself hand in passes through it and gets the
// same treatment. It resolves the recipients' routes, writes our Received
// field (RFC 5321 §4.4, RFC 3848), counts the octets and the Received fields
// that are there already, asks the filter plan of the door's chain, and ends
// with a Result that says what the client is told.
//
// # Promises
//
// A positive Reply is made only after queue.Writer.Commit returned without an
// error. Whatever else happens, the reply is negative and nothing is kept; an
// error that nobody classified is transient. Nothing that a client sent can
// end a line of the trace field, or of a reply.
//
// # When the filters run
//
//   - After: commit, 250, the chain works from Unfiltered.
//   - Inline: the client waits for the verdict; a reject is its reply and makes
//     no DSN; no verdict in time is 451 and nothing is kept.
//   - InlineThenPark: the client waits for Plan.Wait at most; then the message
//     is committed as it is, 250, and the chain goes on from Unfiltered.
//
// A message whose parts were judged differently inline gets 250 when at least
// one part lives on: SMTP has one reply. The rejected part's recipients are the
// chain's to report then.
//
// Header sections are not parsed: a message with a broken one is taken as it
// is. Only the beginnings of lines are looked at, in the first megabyte.
package intake
