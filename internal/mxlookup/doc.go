// Package mxlookup turns a next hop into the addresses to try, in order
// (RFC 5321 §5): mail exchangers by preference, at random within one
// preference; the domain's own address where it has no MX; nothing where it
// says that it takes no mail (null MX, RFC 7505). Mail exchangers no better than
// ourselves are left out, so that mail does not come back. It also finds the
// confirmed name of a client's address (Name), and reads what senders publish
// (LookupTXT and its siblings).
//
// It asks the servers of resolv.conf, or those it is given, over UDP and, when
// an answer is truncated, over TCP. Answers are cached, also negative ones and,
// for seconds, failures (RFC 9520); equal questions asked at the same time are
// asked once.
//
// # Errors
//
// Every error of Lookup is an *Error with a Reply fit for a DSN: permanent where
// the DNS proves that there is no way (NXDOMAIN, no address, null MX, only
// ourselves), transient for everything else: time-outs, SERVFAIL, nonsense.
//
// # What an answer may do
//
// Whatever a server sends: records that do not answer the question are ignored,
// names that are no host names are skipped, the numbers of records, hosts,
// addresses and CNAMEs followed are bounded, and so is the cache.
//
// It knows no queue and no configuration. DNSSEC is left to the resolver.
package mxlookup
