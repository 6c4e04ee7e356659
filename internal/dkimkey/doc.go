// Package dkimkey makes the keys of DKIM signatures (RFC 6376, RFC 8463), writes
// them to files and reads them, and shows the DNS record of their public half.
//
// Files are PEM: PKCS #8, and PKCS #1 for RSA as other programs write it.
package dkimkey
