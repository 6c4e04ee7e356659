// Package spamdfilter is the filter kind for SpamAssassin's daemon, spamd.
//
// Each message is one request of the SPAMC protocol, version 1.5, over a
// connection of its own: SYMBOLS (the score, and mtad adds the fields), HEADERS
// (the header section becomes what spamd made of it) or PROCESS (header section
// and body do). spamd is shown Return-Path and our own Received field in front,
// which its rules read; neither becomes part of the message.
//
// HEADERS and PROCESS answer with a message; it is compared with the one that was
// sent, and only fields that differ are edited, so that every other octet stays
// what it was. A body that differs (report_safe 1) replaces the whole message.
// HEADERS with a MIME structure that differs is refused: the body that belongs to
// it was not sent.
//
// Only an answer "0 EX_OK" that is complete, with a Spam field and as many octets
// as it says, is a verdict. Everything else is a failure.
package spamdfilter
