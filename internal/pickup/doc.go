// Package pickup takes the messages that local users left in a maildrop (package
// maildrop has its states) and submits them through package admission.
//
// Everybody can make files there, so nothing of a file is believed. It is opened
// once, without following links, without waiting and without leaving the file system;
// what it is and whose it is are asked of the open descriptor: a regular file with
// one name, of the directory's group and the mode that writers give it. The owner may do what
// submission.allow says of him, and is the caller whom the queue remembers.
//
// # Promises
//
// A message is submitted with a key made of its owner and its name, and its file
// is removed after the commit: a crash in between makes no second message. What
// cannot be taken for good is moved aside, what cannot be taken now stays; neither is
// removed. Memory does not grow with the number of files, and a user with many does not keep
// the others waiting: of each at most Options.PerUser are taken before the directory is
// gone through again.
package pickup
