// Package filterproto is for authors of scanners: the types of mtad's filter
// API, a client for it, and Run, which makes a scanner of a function.
//
// The protocol is described for implementers in any language in
// spec/filter.md; testdata/ has vectors.
package filterproto
