// Package webhookfilter is the filter kind that posts each message to a web
// handler and takes the verdict that it answers with.
//
// A request's body is one line of JSON, filterproto.MessageInfo, and behind its LF
// the content, octet by octet, streamed. The answer is HTTP 200 with a
// filterproto.Verdict in JSON, read strictly: no name that is unknown, none twice.
// No other answer is a verdict. spec/filter.md says it for those who write the
// handler.
//
// With a key each request carries the field Mtad-Signature: the time and an
// HMAC-SHA256 of time and body. The content is read once more for it.
package webhookfilter
