// Package scanner holds what the kinds for scanners behind a socket share: how
// a scanner is addressed and reached, which class of failure an error is, what a
// find is turned into, and which header fields of a message claim to be a
// scanner's.
//
// Nothing here knows a scanner's protocol; clamdfilter, spamdfilter and
// rspamdfilter do.
package scanner
