// Package certs holds the certificates that mtad shows: from PEM files, which
// are read again when they change, and from an ACME server (RFC 8555).
//
// A file that has changed and cannot be used leaves the certificate in use that
// was there before, with a log line and a metric; it is tried again until it
// can be used. Certificate and key may be replaced one after the other: as long
// as they do not fit together the old pair stays.
package certs
