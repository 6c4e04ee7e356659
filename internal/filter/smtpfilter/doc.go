// Package smtpfilter is the filter kind "smtp": a content filter that speaks SMTP
// or LMTP, such as amavisd or an SMTP proxy. The message is sent to it, and what
// comes back at a reinjection listener is the verdict.
//
// # Pairing
//
// Each scan has an identity that nobody can guess. It goes out as IDENT of
// XFORWARD, or, to a filter that does not offer that, as a header field
// (IdentField), and comes back with the message. A message that comes back without
// an identity that is being scanned is refused for the time being: it is in the
// queue still, or never was ours.
//
// # Answers
//
//   - A message given back for every recipient is accepted, with what changed in
//     content, reverse-path and recipients as edits: one transaction, durable before
//     the scanner gets its 250. Whatever the scanner says or does later, the verdict
//     stands.
//   - One given back for some recipients (a scanner that splits) is kept under the
//     lease until the others' fate is known, by further messages or by the scanner's
//     reply to ours; then all is one transaction. A crash before it leaves the message
//     as it was, for all its recipients.
//   - Recipients for whom nothing came back: 5yz rejects, 4yz defers, 2yz discards.
//
// A message given back again under an identity that was judged is answered 250 and
// dropped, when its recipients are among those that were served; anything else
// under it is refused. So nothing is lost and nothing doubled wherever mtad, the
// scanner or a connection ends.
//
// # Content
//
// What the scanner added stays, its own Received fields among it; our own trace
// field, and IdentField, are taken out again. Octets are not touched otherwise.
package smtpfilter
