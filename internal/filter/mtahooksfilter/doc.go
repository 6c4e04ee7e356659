// Package mtahooksfilter is the filter kind for MTA Hooks, an Internet-Draft in
// motion: what is spoken here is draft-degennaro-mta-hooks-01 (May 2026), JSON, the
// inbound stages: data by Filter, those before it by Gate. An answer that is a JSON Patch (RFC 6902), as -02 of October
// 2026 has it, is understood as well. It is experimental: it follows the draft.
//
// The scanner is found by its discovery document, or its registration endpoint is
// given, or its hook endpoint itself. A registration is made when the first message
// wants one, renewed before it expires and when the scanner has forgotten it, and
// taken back when the filter is closed.
//
// A request has the properties that the registration agreed on. The message itself,
// rawMessage, is written as base64 while it is read; one that comes back is decoded
// as it arrives. Neither is ever whole in memory.
//
// Where this departs from the draft it does so to the safe side: an answer that
// cannot be carried out as a whole is not carried out at all, and a scanner that
// fails has not accepted: what then happens is the filter's failure rule.
// spec/filter.md has the list.
package mtahooksfilter
