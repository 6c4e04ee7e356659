// Package webhook sends the events of a queue to HTTP servers, signed, until each
// has taken them.
//
// # Promises
//
// At least once: a target's place is kept in a file that is replaced whole, and
// moves past an event only when the target answered 2xx, or when the event's
// lifetime was over, which is counted and logged. After a crash the events since
// that place are sent again, under the same webhook-id. The events of one message
// reach a target in order; between messages there is no order. Targets do not wait
// for each other, nor does the queue for any of them.
//
// # Form
//
// A request is a POST of one events.Event as JSON, with the header fields of the
// Standard Webhooks specification: webhook-id, webhook-timestamp (seconds), and
// webhook-signature, "v1," and the base64 HMAC-SHA256 of id, timestamp and body
// joined by dots, one for each secret. spec/events.md says it for receivers.
//
// # Where it connects to
//
// https alone, and public addresses alone, unless the target's options say
// otherwise; the address is checked when it is connected to, after all name
// resolution. Redirects are not followed, proxies of the environment not used.
//
// # Bounds
//
// A target holds at most Options.Window events; time, size and header section of
// an answer are bounded, and nothing of the answer's body is kept.
package webhook
