// Package sendmail is the command line and the message handling of sendmail(1) as
// other programs know it: Parse reads the options, Read makes an envelope and a
// message of what stands on standard input, and Dialogue is the SMTP of -bs.
//
// It hands nothing in and opens no connection: what it makes is for the
// submission format (spec/submission.md), and who may send what is decided by mtad.
// What is read is bounded: the header section is kept in memory, the body streamed.
//
// Where programs disagree it follows Postfix's sendmail(1); docs/sendmail.md lists
// the options and the differences.
package sendmail
