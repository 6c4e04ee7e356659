// Package deliver hands an item's recipients to where they go: Relay to a next
// hop over SMTP or LMTP, Maildir into a mailbox of this machine, Discard nowhere,
// Fail back.
//
// A transport makes one attempt and reports one Result for each recipient it was
// given. It decides what is permanent: only a 5yz reply of a next hop, or a
// cause that is proven to stay. Everything else, and all it does not know, is
// transient (queue.Pending). When to try again, and what to tell the sender, is
// for the queue manager.
//
// # Duplicates
//
// Relay: where a connection ends between the final dot and its reply, the next
// hop may have the message all the same; it is tried again, and may arrive
// twice (RFC 1047). Maildir: a repeat of the same item finds its own file and
// writes nothing.
//
// # What is observed
//
// One log line for each recipient and attempt with queue_id, recipient,
// next_hop, remote, reply, the delays (queued: from acceptance to the attempt;
// connect: to the session; total: the attempt) and tls; counters by transport
// and result, and the state of connections.
package deliver
