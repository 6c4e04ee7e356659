// Package demo shows the way of a few messages through a whole mtad: in over
// SMTP, unfiltered, claimed and judged over HTTP, incoming, active, deferred,
// delivered. It needs nothing but the process: spool, next hop and scanner are
// its own and end with it. Everything goes through the doors that anybody has.
package demo
