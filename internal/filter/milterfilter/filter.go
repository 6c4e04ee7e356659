package milterfilter

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/milter"
)

// Options say where a milter is. Milter is required.
type Options struct {
	Milter milter.Options
	// Hostname and Version are what milters are told of us (macros j and v).
	Hostname, Version string
	// MaxHeader bounds the header section, in octets; default 1 MiB. A longer one is
	// the failure over-size.
	MaxHeader int
	// MaxKept is how many conversations may wait for another message of their client;
	// default 16.
	MaxKept int
	// QuitNC lets messages of different clients follow each other in one connection
	// (SMFIC_QUIT_NC), where the milter ended the one before with "continue".
	QuitNC bool
	// Live is where Gates offer the conversations that they lead; nil: there are none.
	Live *Live
}

// Filter is one milter. It is safe for concurrent use.
type Filter struct {
	o      Options
	client *milter.Client
	kept   kept
	sour   atomic.Int64 // Unix time until which QuitNC is not tried again
}

// Defaults of Options.
const (
	defMaxHeader = 1 << 20
	defMaxKept   = 16
)

// New makes a Filter. It connects to nothing.
func New(o Options) (*Filter, error) {
	c, err := milter.New(o.Milter)
	if err != nil {
		return nil, err
	}
	if o.Hostname == "" {
		o.Hostname = "localhost"
	}
	if o.Version == "" {
		o.Version = "mtad"
	}
	if o.MaxHeader <= 0 {
		o.MaxHeader = defMaxHeader
	}
	if o.MaxKept <= 0 {
		o.MaxKept = defMaxKept
	}
	return &Filter{o: o, client: c, kept: kept{max: o.MaxKept}}, nil
}

// Close ends conversations that wait for another message. Scans afterwards keep
// none.
func (f *Filter) Close() error {
	f.kept.close()
	return nil
}

// Scan is filter.Kind. The milter hears of the message in the conversation that it
// had with the client, if that waits and a Gate led it; in one that a message of
// the same client left behind, if there is one; in a new one otherwise. The first
// two that turn out to be gone before the milter said anything do not count.
func (f *Filter) Scan(ctx context.Context, m filter.Message) (filterproto.Verdict, error) {
	if o := f.o.Live.take(m.Filter, m.Item.ID); o != nil {
		if v, ok, err := f.goOn(ctx, m, o); ok {
			return v, classified(err)
		}
	}
	if v, ok, err := f.further(ctx, m); ok {
		return v, classified(err)
	}
	s, err := f.client.Open(ctx)
	if err != nil {
		return filterproto.Verdict{}, classified(err)
	}
	v, err := f.lead(ctx, m, &conversation{s: s, with: greetedBy(&m.Item.Envelope.Client), since: time.Now()}, true)
	return v, classified(err)
}

// lead takes a message through a conversation, from connect or from MAIL on, and
// keeps the conversation for the next.
func (f *Filter) lead(ctx context.Context, m filter.Message, c *conversation, fresh bool) (filterproto.Verdict, error) {
	r := newReplay(f, c.s, m)
	v, err := r.whole(ctx, fresh)
	if err != nil || !r.ongoing {
		r.drop(err)
		c.s.Close()
		return v, err
	}
	f.kept.put(c)
	return v, nil
}

// sourTime is how long QuitNC is given up for a milter that did not take it.
const sourTime = 10 * time.Minute

// further takes a message through a conversation that another one left behind. ok
// is false when there is none that is of use.
func (f *Filter) further(ctx context.Context, m filter.Message) (v filterproto.Verdict, ok bool, err error) {
	with := greetedBy(&m.Item.Envelope.Client)
	c := f.kept.take(ctx, with, f.o.QuitNC && time.Now().Unix() >= f.sour.Load())
	if c == nil {
		return v, false, nil
	}
	renew, heard := c.with != with, c.s.Heard()
	if c.with = with; renew {
		c.s.Renew()
	}
	v, err = f.lead(ctx, m, c, renew)
	unheard := err != nil && (stale(err, c.s, heard) || renew && ctx.Err() == nil && classOf(err) == filter.Timeout && c.s.Heard() == heard)
	if unheard && renew {
		f.sour.Store(time.Now().Add(sourTime).Unix())
	}
	return v, !unheard, err
}

// goOn takes a message through the rest of a conversation that saw its envelope.
// ok is false when that is of no use.
func (f *Filter) goOn(ctx context.Context, m filter.Message, o *offer) (v filterproto.Verdict, ok bool, err error) {
	good := true
	defer func() { f.o.Live.giveBack(o, good) }()
	if !o.fits(f, &m.Item) {
		return v, false, nil
	}
	if o.answer != nil {
		return newReplay(f, nil, m).verdict(*o.answer), true, nil
	}
	if good = o.s.Bind(ctx); !good {
		return v, false, nil
	}
	heard := o.s.Heard()
	r := newReplay(f, o.s, m)
	v, err = r.rest(ctx, o.macros)
	r.drop(err)
	good = err == nil && r.ongoing
	return v, err == nil || !stale(err, o.s, heard), err
}

// stale says that a conversation that began earlier was gone before the milter
// said anything of the message.
func stale(err error, s *milter.Session, heard int) bool {
	e, ok := errors.AsType[*milter.Error](err)
	return ok && (e.Kind == milter.Lost || e.Kind == milter.Unreachable) && s.Heard() == heard
}

// classified tells the engine in which way the milter failed.
func classified(err error) error {
	if _, ok := errors.AsType[*milter.Error](err); !ok {
		return err
	}
	return &filter.Failure{Class: classOf(err), Err: err}
}

func classOf(err error) filter.Class {
	e, ok := errors.AsType[*milter.Error](err)
	if !ok {
		return filter.Unreachable
	}
	switch e.Kind {
	case milter.Timeout:
		return filter.Timeout
	case milter.Lost:
		return filter.Crash
	case milter.Protocol:
		return filter.Protocol
	}
	return filter.Unreachable
}
