// Package auth lets clients of a submission port log in: SMTP AUTH (RFC 4954)
// with PLAIN (RFC 4616), LOGIN, SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802,
// RFC 7677; bound to the channel as RFC 9266 or RFC 5929 §4 say), EXTERNAL by
// client certificate (RFC 4422 appendix A), OAUTHBEARER (RFC 7628) and XOAUTH2
// by access token, and whatever a Dovecot behind its authentication socket offers.
//
// Who may log in is known to a Backend: Local, over a password file or a
// database, client certificates, and the server that issued tokens (RFC 7662), or
// Dovecot. Service runs the dialogue of the AUTH command on top
// of it and answers with a reply; it decides neither whether AUTH may be given
// now nor what a client that logged in may do.
//
// # Promises
//
// A login that does not exist is answered like one that does: the same reply,
// after the same work, for its password is compared with the hash of somebody
// else, and the same name always with the same one; with a database, of somebody
// who was asked for before. Comparisons are in constant
// time. Only so many passwords are hashed at a time, each with bounded memory.
//
// Attempts are counted for each address (IPv6: each /64) and each login, in
// tables of bounded size, and slowed down before the password is looked at, so
// that neither an open connection nor a closed one tells more than the other.
//
// An error that nobody classified is transient (454): it is not known that the
// password is wrong. Passwords are in no log line, no metric and no error, and
// neither is a login that does not exist, for people type passwords there.
package auth
