// Package admission is the door for messages that do not come by SMTP: the
// submission helper, sendmail, the maildrop and HTTP. It decides whether a caller
// may hand in this envelope, completes it, and commits the message through
// package intake.
//
// Who calls, and what a caller may do, is a Caller with a Grant; Rules finds the
// Grant of a local user by what the kernel says of its process. Nothing that a
// message says can widen it.
//
// # Promises
//
// Submit returns a Result without an error only after the commit. After any error
// nothing is kept, except after queue.ErrUncertain: then the caller repeats the
// request with the same Key, and at most one message comes of it. A *Refusal is
// permanent unless it says otherwise; the other errors are those of packages intake and
// queue, and of them unknown means transient.
//
// The content is streamed: memory does not grow with its size.
package admission
