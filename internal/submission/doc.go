// Package submission reads and writes the submission format of
// spec/submission.md: a block of envelope attributes, one "name: value" a line, a
// blank line, then the message. It is what "mtactl submit" takes on stdin, what
// POST /v1/messages takes as application/vnd.mtad.submission, and what a file of
// the maildrop holds.
//
// Read takes the block and leaves the reader at the first octet of the content;
// Envelope.Append writes one; LineEnds makes Internet line ends of UNIX ones in
// the content. Names and meaning of the attributes are those of the specification,
// and so are the bounds, which are checked before memory is taken.
//
// It decides nothing: who may claim what, and where mail goes, is the caller's.
// An error of Read is an *Error, whose text holds nothing of the input and is fit for anybody.
//
// This package uses the standard library and package smtp alone.
package submission
