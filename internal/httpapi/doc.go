// Package httpapi is mtad's HTTP interface: the pull API for filters, the queue
// for operators, status, health and metrics. It implements the strict server that
// is generated from api/openapi.yaml, over queue.Queue and a filter engine.
//
// # Who may do what
//
// A caller is a bearer token, or on a unix socket a user whom the kernel names, or
// both; either brings scopes. Every operation but the two probes needs the scope
// that openapi.yaml names. Scopes are checked against the operation that was
// routed to, never against the text of the path, and a path with unusual escapes
// is not routed at all. Nothing else of a request (Host, Origin, cookies) can give
// access, and what a web page sends is refused.
//
// A claim's token as callers see it is the queue's token sealed together with the
// filter's name, so that a token of another filter, a forged one and an expired one
// are the same thing: lease_lost.
//
// # Bounds
//
// Header section, body, nesting, batch, time for header and body, connections in
// all and for each address are bounded (limits.go), each before memory is taken.
// Unknown fields and query parameters are refused with their path.
//
// # Errors
//
// Bodies are filterproto.Error with a code of spec/errors.json. An error nobody
// classified is "internal" (500), which callers treat as transient; its text goes
// to the log alone.
package httpapi
