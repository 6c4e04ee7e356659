// Package milter is the MTA's side of the milter protocol, versions 2 to 6: it
// opens a connection to a filter, negotiates, leads it through a message step by
// step, and reports its answers and the modifications it asks for. It carries
// nothing out.
//
// # Promises
//
// A packet's length is checked before memory is taken for it; an empty packet, a
// string without its NUL, a reply that does not fit its command end the session
// with an Error of kind Protocol. Each wait for a packet is bounded by its own
// time; a progress packet starts it anew, and the context given to Open bounds
// all of it. After an error a Session is of no use but for Close.
//
// # Left to the caller
//
// A Session is for one goroutine. Header values are given as they stand in the
// message behind the colon: what a filter that has not asked for leading space
// must not see is taken off here, and HeaderSpace says how values that come back
// are meant. Modifications are delivered as they come and count for nothing until
// the final Answer is Continue or Accept.
package milter
