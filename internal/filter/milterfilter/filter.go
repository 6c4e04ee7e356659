package milterfilter

import (
	"context"
	"errors"

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
}

// Filter is one milter. It is safe for concurrent use.
type Filter struct {
	o      Options
	client *milter.Client
}

const defMaxHeader = 1 << 20

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
	return &Filter{o: o, client: c}, nil
}

// Scan is filter.Kind.
func (f *Filter) Scan(ctx context.Context, m filter.Message) (filterproto.Verdict, error) {
	s, err := f.client.Open(ctx)
	if err != nil {
		return filterproto.Verdict{}, classified(err)
	}
	defer s.Close()
	r := newReplay(f, s, m)
	v, err := r.run(ctx)
	if err != nil {
		r.edits.abandon()
		return filterproto.Verdict{}, classified(err)
	}
	return v, nil
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
