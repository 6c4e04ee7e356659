// Package dmarcfilter is the filter kind dmarc: it checks messages by SPF, DKIM
// and DMARC, and puts one Authentication-Results field on top of each (RFC 8601)
// with what came of it.
//
// What is checked is the message as it was received, whatever filters before this
// one did. Authentication-Results fields that came with a message and claim to be
// ours are removed, also from messages that are not checked: those of our own
// clients (Options.Own). Only relays of ours that check themselves
// (Options.Trusted) have theirs kept.
//
// Results are recorded. What a DMARC policy of reject or quarantine does, and
// trouble with the DNS, is for Options to say; the default is nothing.
package dmarcfilter
