// Package rspamdfilter is the filter kind for rspamd.
//
// Each message is one POST /checkv2 over HTTP/1.1, on connections that are kept.
// rspamd is told to behave as towards a milter (Flags: milter,body_block): it is
// shown the message without our own Received field, and everything it needs of
// the session in request headers. Its answer, JSON with a named action, becomes
// the verdict; its milter block becomes edits; a body that it rewrote comes behind
// the JSON (Message-Offset) and becomes the body.
//
// An answer is a verdict only when it is HTTP 200 with a JSON object whose action
// is one that is known here. rspamd answers "no action" to an empty body: that
// every octet was sent is checked, and an empty message is sent with our Received
// field in front.
package rspamdfilter
