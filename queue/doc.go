// Package queue says what a mail queue can do: the vocabulary of messages
// that are accepted and not yet gone, and the interface Queue that everything
// else in mtad is written against. It holds no storage and no policy.
//
// A message is accepted once, under one queue ID, and is in exactly one of
// four states: Unfiltered, Incoming, Active, Deferred. Hold is a mark, not a
// state. Whoever works on a message holds a lease; every change names the
// lease's token or the item's revision, and a stale one is refused. The full
// table of states, transitions and durability classes is spec/queue.md; names
// there and here are the same.
//
// # Items
//
// The unit that is claimed, scheduled and listed is the Item. A message
// starts as one item. It is split into parts when recipients part ways: by a
// per-recipient verdict, and on entering Incoming by next hop, so that an item
// in Incoming, Active or Deferred has one (transport, next hop) and a slow
// destination never delays a recipient somewhere else. Parts share the content
// and the message's queue ID; a part's own ID adds a suffix (ID.Part).
//
// # Rules for every implementation
//
// IDs, revisions, tokens and cursors are opaque: compare, never compute.
// A change is atomic within one message and its parts, and nowhere else.
// Leases are given as durations; nobody passes a deadline in. Every mutation
// may be repeated by its caller: with the same Nonce it takes effect once.
// ErrUncertain says that a change may or may not have happened.
// ErrNotFound is returned only when absence is proven. There is no global
// order between messages.
//
// This package stays free of dependencies outside the standard library.
package queue
