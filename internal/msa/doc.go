// Package msa is what a message submission agent (RFC 6409) does beyond what a
// relay does: it knows which addresses a login may use as reverse-path and in
// From, and completes the header section of what it takes. It is used for
// listeners of the kinds submission and submissions alone: mail that is relayed
// keeps its octets.
//
// Completing adds fields that are missing (RFC 6409 §8) behind the last field of
// the header section. Every octet that came from the client stays as it is, and
// where it is, and nothing is kept back but the beginning of a line: memory is
// bounded whatever comes. A signature of the client's own stays valid as long as
// it does not say that the field has to be missing.
package msa
