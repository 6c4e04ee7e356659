// Command bench runs mtad and Postfix side by side on this machine and writes
// spec/benchmarks.md: accept only, accept to relay, accept to filter to relay,
// with Postfix's smtp-source as the client and smtp-sink as the next hop, both
// MTAs syncing to disk before they answer 250.
//
// It needs root (Postfix changes users) and Debian's postfix package, whose
// daemons it starts from a configuration of its own on loopback ports and stops
// at the end. Figures are ratios of one run; they say nothing across machines.
package main
