package mailscanner

import (
	"context"
	"errors"

	"mtad/filterproto"
)

// answeredVerdict accepts a message with the changes that MailScanner made.
func (b *bridge) answeredVerdict(ctx context.Context, c *claim) (filterproto.Verdict, error) {
	f, err := b.x.openAnswer(c.name)
	if err != nil {
		return filterproto.Verdict{}, err
	}
	defer f.Close()
	edits, ok, err := readAnswer(ctx, &c.sent, c.m, f)
	if err != nil {
		return filterproto.Verdict{}, err
	}
	if !ok {
		return b.fate(b.o.WhenGone, "MailScanner gave the message back without recipients"), nil
	}
	return filterproto.Verdict{Disposition: filterproto.Accept, Edits: edits}, nil
}

// errDisowned: a bridge that lost its lock may have lost its files to another one.
var errDisowned = errors.New("mailscanner: the instance's lock file is gone")

// vanishedVerdict is for a message that MailScanner keeps. Nothing but its quarantine
// tells why.
func (b *bridge) vanishedVerdict(c *claim) (filterproto.Verdict, error) {
	if !b.self.alive() {
		return filterproto.Verdict{}, errDisowned
	}
	if b.o.Quarantine != "" {
		switch there, err := stored(b.o.Quarantine, c.name); {
		case err != nil:
			return filterproto.Verdict{}, err
		case there:
			return b.fate(b.o.WhenStored, "MailScanner stored the message in its quarantine as "+c.name), nil
		}
	}
	return b.fate(b.o.WhenGone, "MailScanner did not give the message back; it is "+c.name+" in its log"), nil
}

func (b *bridge) fate(f Fate, reason string) filterproto.Verdict {
	switch f {
	case Discard:
		return filterproto.Verdict{Disposition: filterproto.Discard, Reason: reason}
	case Reject:
		return filterproto.Verdict{Disposition: filterproto.Reject, Reason: reason,
			Reply: &filterproto.Reply{Code: 550, Enhanced: "5.7.1", Text: "message refused by the content scanner"}}
	}
	return filterproto.Verdict{Disposition: filterproto.Accept, Reason: reason,
		Quarantine: &filterproto.Quarantine{Reason: reason, Seconds: int64(b.o.HoldFor.Seconds())}}
}
