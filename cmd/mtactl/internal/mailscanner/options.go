package mailscanner

import (
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"mtad/filterproto"
)

// Fate is what becomes of a message that MailScanner does not give back.
type Fate string

// The fates.
const (
	Hold    Fate = "hold"    // held in mtad's queue until somebody decides
	Discard Fate = "discard" // gone, nobody is told
	Reject  Fate = "reject"  // 550 to a waiting client, else a DSN
)

// Fates lists them.
func Fates() []string { return []string{string(Hold), string(Discard), string(Reject)} }

func (f Fate) known() bool { return f == Hold || f == Discard || f == Reject }

// Options configure Run. Client, Filter, Incoming and Outgoing are required.
type Options struct {
	Client *filterproto.Client
	Filter string
	// Incoming and Outgoing are MailScanner's directories of these names: absolute
	// paths of two different directories on local file systems.
	Incoming, Outgoing string
	// Quarantine is MailScanner's quarantine, where a message that it stored is looked
	// for by its name; "" does not look, and nothing counts as stored.
	Quarantine string
	// WhenStored is for messages that MailScanner did not give back and that are in its
	// quarantine; WhenGone for those that are in neither place. Default: Hold.
	WhenStored, WhenGone Fate
	// HoldFor is how long a hold lasts; 0: until somebody ends it.
	HoldFor time.Duration
	// Lease is asked for and renewed (default 1 min): after a crash of the bridge its
	// messages are offered again when it has run out.
	Lease time.Duration
	// Patience is how long MailScanner may have a message (default 1 h). Then the claim
	// is given back, as one that broke its scanner when MailScanner has the file locked.
	Patience time.Duration
	// Poll is how often a message is looked at when the kernel reports nothing
	// (default 1 s); left-over files are looked for every ten of them.
	Poll time.Duration
	// Drain is how long Run waits for MailScanner once it has to end (default 30 s).
	Drain time.Duration
	// RetryDelay is how long a message rests that could not be handed over or that came
	// back damaged (default 10 s).
	RetryDelay time.Duration
	// Concurrency is how many messages MailScanner has at a time (default 150), Batch
	// how many are claimed at once (default 30).
	Concurrency, Batch int
	Logger             *slog.Logger

	// step, when set, is told before each step of a message: tests end the process there.
	step func(string)
}

func (o Options) withDefaults() (Options, error) {
	if o.Client == nil || o.Filter == "" {
		return o, errors.New("mailscanner: a client and the name of a filter are needed")
	}
	in, out := filepath.Clean(o.Incoming), filepath.Clean(o.Outgoing)
	if !filepath.IsAbs(in) || !filepath.IsAbs(out) || in == out {
		return o, errors.New("mailscanner: the exchange directories have to be two absolute paths")
	}
	set(&o.WhenStored, Hold)
	set(&o.WhenGone, Hold)
	if !o.WhenStored.known() || !o.WhenGone.known() {
		return o, errors.New("mailscanner: unknown fate")
	}
	set(&o.Lease, time.Minute)
	set(&o.Patience, time.Hour)
	set(&o.Poll, time.Second)
	set(&o.Drain, 30*time.Second)
	set(&o.RetryDelay, 10*time.Second)
	set(&o.Concurrency, 150)
	set(&o.Batch, 30)
	if o.step == nil {
		o.step = func(string) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

func set[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
