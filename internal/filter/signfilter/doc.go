// Package signfilter is the filter kind dkim: it signs messages of our own
// clients (RFC 6376).
//
// Whether a message is ours to sign is said by Options.Own, from what the door
// knows of the client: never by the From field, which only chooses the key. The
// filter comes last in its chain, so that the signatures cover what leaves.
//
// A message that is signed already with the same key (it is scanned again) loses
// that signature and gets a new one. One that is ours and has no key, or is too
// odd for a signature, goes on without; the verdict says so.
package signfilter
