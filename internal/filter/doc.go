// Package filter takes messages through their filter chains: it says which
// filter is next, hands out claims, turns a verdict into one transaction of the
// queue, and does what the configuration says when a filter fails.
//
// # Kinds
//
// A filter is pulled or driven. The pull kind has no worker here: its scanner
// comes to claim, over the HTTP API, through Engine.Claim and Engine.Judge. Every
// other kind implements Kind and is driven by workers of Engine.Run. The engine
// knows kinds only by that interface.
//
// # Promises
//
// A verdict is checked as a whole before anything is touched, and takes effect as
// one transaction or not at all; repeated under the same token and nonce it
// answers the same. Edits work on exact octets: what no edit names is carried over
// bit by bit, whatever its shape. A message never passes a filter without that
// filter's accept, except by an "accept-marked" that the configuration asks for in
// words: a chain or filter that is gone, a verdict that cannot be carried out, an
// unknown error all leave the message where it is.
//
// Memory is bounded by the leases that are out and by Options.MaxHeader for each
// verdict under way; it does not grow with the queue.
//
// # Positions
//
// The stage of an item (queue.Item.Stage) is the name of the filter whose turn it
// is. A stage that names no configured filter is an orphan: it is not handed out,
// and shows in Status and in a metric. When an item's stage has left its chain, the
// chain starts again from its first filter; when the chain itself is gone, the item
// is held.
package filter
