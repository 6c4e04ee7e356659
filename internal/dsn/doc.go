// Package dsn makes delivery status notifications: the multipart/report
// messages (RFC 3464, RFC 6522; RFC 6533 for internationalised addresses) that
// tell a message's reverse-path what became of its recipients, as the DSN
// parameters of the envelope ask (RFC 3461).
//
// A Reporter turns an item, a Kind and the recipients it is about into one
// message and hands it to Options.Submit. It decides nothing about delivery:
// the caller says what happened, the Reporter whether anybody wants to know
// (Wanted), who, and in which form.
//
// Promises:
//
//   - No DSN goes to the null reverse-path. A failure of a message that has it
//     goes to Options.Postmaster as a double bounce, and a double bounce that
//     fails is reported to nobody.
//   - Reporting the same recipients of the same item again makes no second
//     DSN: the submission carries a DedupeKey, and "accepted before" is success.
//   - Whatever octets the original message, its envelope and remote replies
//     hold, the report is well-formed MIME with CRLF line ends and no line over
//     998 octets, and nothing of theirs becomes a header field or a boundary.
//   - Size is bounded: by MaxFull or MaxHeaders of the original and a few
//     kilobytes for each of at most maxReported recipients; more recipients
//     make more DSNs.
package dsn
