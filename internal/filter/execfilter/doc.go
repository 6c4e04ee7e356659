// Package execfilter is the filter kind "exec": a program for each message. The
// content comes on its standard input, the envelope in the submission format on
// descriptor 3, the exit status is the verdict, and what it writes on standard
// output may replace the message.
//
// # What the program is given
//
// Arguments come from the configuration alone; there is no shell. The environment
// is made anew from a fixed list of names; values of the message in it are reduced
// to harmless characters, the exact ones are in the envelope. The program runs in
// a directory and a session of its own, as the user that Options.User names, with
// no new privileges; as root only when that is said in words. It is started by way
// of the binary that it is part of, see Launch.
//
// # What it cannot do
//
// Time, memory, processor time, open files, file size and output are bounded. At
// the end of its time, or when it has ended, its process group is killed; who left
// the group gets no further input and is not waited for. A program that does not
// read, closes early, forks, ignores signals, or writes without end harms its own
// verdict only.
//
// # Failures
//
// A program that cannot be started is filter.Unreachable, one that a signal ended
// filter.Crash, an exit status that means nothing or an output that breaks its
// bounds filter.Protocol, and the end of its time filter.Timeout. Memory does not
// grow with the message.
package execfilter
