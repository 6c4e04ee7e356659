// Package mailscanner is a scanner of mtad's filter API that has MailScanner 5 do
// the work, over the two exchange directories of its milter mode (MTA = msmail).
//
// A claimed message becomes the file in/NAME. MailScanner locks it (flock), works on
// it, writes out/temp-PID-NAME, renames that to out/NAME and removes in/NAME. Or it
// keeps the message (an action store or delete) and removes in/NAME alone. NAME is the
// queue ID, the bridge's instance and a number: it names one claim, once and for all,
// so no answer is ever taken for that of another claim.
//
// # States of a name
//
//	in/NAME  out/NAME  claim   what it is               what happens
//	yes      no        lives   MailScanner is to scan   wait; the lease is renewed
//	any      yes       lives   the answer               the verdict is made of out/NAME, both files are removed
//	no       no        lives   MailScanner kept it      WhenStored or WhenGone decides, or the claim goes back
//	any      any       ended   left over                removed, in/NAME only while nobody has it locked
//
// The commit point is the verdict at the server. A crash before it, of the bridge, of
// MailScanner or of the server, leaves a message that is offered again and files that
// are left over. So MailScanner may scan a message twice; it is judged once.
//
// # Instances
//
// Bridges may share the directories. Each holds a lock on in/temp-mtad-INSTANCE for as
// long as it lives (MailScanner passes over names that begin with temp-). Whoever can
// lock that file knows that the instance is dead, and removes what it left.
//
// # What is left to MailScanner
//
// It sees lines that end in LF, and does not say when it was not able to write all of
// an answer. What it gives back is compared with what it was given: header fields that
// differ become edits, a body that differs is replaced, and everything else keeps its
// octets. An answer that breaks off is no answer.
package mailscanner
