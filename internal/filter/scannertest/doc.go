// Package scannertest starts real scanners for tests: clamd, spamd, rspamd and
// whatever else a package's tests bring a command line for. It is imported by
// tests only.
//
// Everything listens on loopback or on unix sockets below a directory of its own
// and ends with the test. A test whose scanner is not installed is skipped with
// the name of what is missing. No DNS, no rule downloads, no service manager.
package scannertest
