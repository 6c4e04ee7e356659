// Package qmgr is the queue manager: it decides what becomes active when, has it
// delivered by a transport, writes the results, and asks for the reports that
// are due.
//
// What it does with an item, in this order:
//
//  1. Claim it, from Incoming or Deferred. Each of the two has its own claims and
//     a quarter of the active set to itself; a destination takes from both in
//     turn. So neither starves the other.
//  2. Ask Options.Route again. An item whose recipients part ways now goes back
//     to Incoming with the new routes, where the queue splits it.
//  3. Report recipients that failed without an attempt: an operator's bounce, a
//     filter's reject.
//  4. Try the pending ones, when their destination has a free slot; or put the
//     item off when the destination is dead.
//  5. Write the result: one change, or, when somebody has to be told, one that
//     says what happened, the report, and one that says that it was made. Each
//     step may be repeated; a crash in between makes no second report.
//
// A destination is a (transport, next hop). Its concurrency window grows with
// success and shrinks with failure. The claims ask for no more of a next hop than
// its destination can hold, so that a slow one fills neither the active set nor
// the workers.
//
// Scheduling (core) and the fate of an item (ledger, policy) are decided without
// I/O, goroutines or a clock; histories in testdata/ replay them.
//
// Unknown errors are transient, a panic of a transport is an unknown error, and
// what a transport does not prove delivered or failed is tried again. A delivery
// can be repeated after a crash or a lost lease (spec/queue.md §6), never lost.
package qmgr
