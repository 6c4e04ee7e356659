// Package clamdfilter is the filter kind for ClamAV's daemon, clamd.
//
// A message goes to clamd as a stream of chunks (INSTREAM), or, over a unix
// socket and where asked for, as an open descriptor of a file in memory (FILDES):
// clamd then bounds it by MaxFileSize instead of StreamMaxLength and makes no
// copy of its own, while mtad holds the whole message in memory for as long as the
// scan takes. Connections are sessions (IDSESSION) that are kept for the next
// message; one message is in a session at a time, and an answer with another
// number than the question's is no answer.
//
// Only "OK" is an accept. A find becomes what Options.Virus says. ERROR, an empty
// answer, a connection that closes and anything else are failures: the message
// was not scanned. clamd's own size limit is the class OverSize.
//
// The wire is that of clamd(8), ClamAV 0.95 and later. clamd's socket lets anybody
// who reaches it stop the daemon: it is not for networks.
package clamdfilter
