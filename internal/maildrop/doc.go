// Package maildrop is the writers' side of the directory in which local users
// leave messages for an mtad that is not there: each a file in the submission
// format (spec/submission.md). Package pickup is the side that reads.
//
// # The directory
//
//	DIR           0711  mtad's; others pass through
//	DIR/in         3733  everybody makes files here, nobody but mtad lists them or
//	              removes another's; files get the directory's group, which mtad is in
//	DIR/aside     0700  what mtad did not take
//	DIR/hostname  0644  what mtad calls this machine
//
// # States of a file in DIR/in
//
//	t.NAME  being written, mode 0600; of no meaning until it is renamed
//	m.NAME  a message, mode 0640, on stable storage
//
// NAME is 26 characters that nobody guesses. The rename is the commit point:
// Commit returns nil after it is on stable storage, and only then a writer may say that the
// message is taken. A file that was never renamed is set aside after a day.
//
// Who left a file is who owns it, by what the system says; nothing in it can tell
// otherwise. spec/adr/0073-maildrop.md has the reasons.
package maildrop
