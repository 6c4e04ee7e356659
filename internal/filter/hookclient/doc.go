// Package hookclient is what the kinds that push messages to an HTTP server share:
// one server, named by the configuration and by nothing else; credentials; a body
// that is streamed and counted; and answers that are bounded.
//
// It speaks HTTP/1.1 over kept connections. No redirect is followed, no proxy of
// the environment used, no compression offered or taken. A request that met a
// connection which the server had closed meanwhile is sent once more, on a new one.
//
// Errors are *filter.Failure with their class: no connection, or a TLS handshake
// that does not come off, is Unreachable, and so are 429, 502, 503 and 504, which
// say that nobody is there to answer now; 413 is OverSize; a connection that ends
// before the answer did is Crash; everything else that is no answer is Protocol.
package hookclient
