// Package route says where a recipient goes: which transport, and which next
// hop. It is a pure lookup in tables that were checked when they were made: no
// DNS, no files, no clock. A Table is never changed and is safe for concurrent
// use; a new configuration makes a new Table.
//
// # Order
//
// The most specific match wins:
//
//  1. a rule for the exact mailbox, then for the mailbox without its
//     extension ("alice+list" as "alice"), if a delimiter is set
//  2. a rule for the domain
//  3. the rule for the nearest domain above it (".example.org")
//  4. the local domains: the local transport, with the mailbox as next hop
//  5. the rule "*"
//  6. the smarthost, if there is one
//  7. smtp to the recipient's domain, to be looked up by MX
//
// "*" stands below the local domains, so that "everything to the smarthost"
// does not send local mail away.
//
// # Domains
//
// Domains are compared and returned in lower case as A-labels (RFC 5890). An
// address literal (RFC 5321 §4.1.3) is its own next hop, in brackets: "[192.0.2.1]",
// "[2001:db8::1]".
//
// # Local mailboxes
//
// The next hop of a local recipient is the name of its mailbox, which is also
// the name of a directory. Mailbox gives it, and refuses permanently what could
// be a path, a hidden file, or mail for somewhere else in disguise (RFC 5321
// §3.6.1 knows no source routes: "%", "!" and a quoted "@" are not followed).
package route
