package mtahooksfilter

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/filter/hookclient"
	"mtad/internal/filter/scanner"
)

// Draft is the version of the draft that is spoken.
const Draft = "draft-degennaro-mta-hooks-01"

// Setup says what Options.Server.URL is.
type Setup string

// The setups.
const (
	Discovery    Setup = "discovery"    // the scanner: its /.well-known/mta-hooks is read
	Registration Setup = "registration" // the registration endpoint
	Endpoint     Setup = "endpoint"     // the hook endpoint; nobody is registered
)

// Options configure a Filter. Server.URL is required; the zero value of everything
// else works.
type Options struct {
	Server hookclient.Options
	// Setup is Discovery by default.
	Setup Setup
	// Update are JSON Pointers to what the scanner may change; what is below them is
	// meant too. Default: all that is understood.
	Update []string
	// Name and Version are told in a registration; Name is our host name.
	Name, Version string
	// Timeout is told in a registration.
	Timeout time.Duration
	// Now is the clock. Default time.Now.
	Now func() time.Time

	stages []string // to be asked for; default: data
}

// Filter is a filter.Kind. Its memory is an envelope, a header section and an
// answer (bounded) for each scan under way; messages are streamed both ways.
type Filter struct {
	o    Options
	c    *hookclient.Client
	reg  *registrar
	next func() string // names an invocation
}

// New makes a Filter. It connects to nothing yet.
func New(o Options) (*Filter, error) {
	c, err := hookclient.New(o.Server)
	if err != nil {
		return nil, err
	}
	if o.Setup == "" {
		o.Setup = Discovery
	}
	if o.stages == nil {
		o.stages = []string{stageData}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Filter{o: o, c: c, reg: newRegistrar(o, c), next: hookclient.NewID}, nil
}

// Close takes the registration back, which may take a few seconds, and ends the
// connections that are kept.
func (f *Filter) Close() error {
	err := f.reg.end()
	f.c.Close()
	return err
}

// who is the scanner, in errors.
const who = "the scanner"

// Scan shows the message to the scanner. The error is a *filter.Failure, or one of
// the queue.
func (f *Filter) Scan(ctx context.Context, m filter.Message) (filterproto.Verdict, error) {
	inv := &invocation{f: f, ctx: ctx, m: m, id: f.next()}
	defer inv.close()
	for again := false; ; again = true {
		reg, err := f.reg.get(ctx)
		if err != nil {
			return filterproto.Verdict{}, err
		}
		resp, err := inv.send(reg)
		if err != nil {
			return filterproto.Verdict{}, err
		}
		gone := resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone
		if gone && !again && f.reg.drop(reg) {
			resp.Body.Close()
			continue
		}
		v, err := inv.verdict(resp)
		resp.Body.Close()
		return v, err
	}
}

// verdict reads an answer.
func (inv *invocation) verdict(resp *http.Response) (v filterproto.Verdict, err error) {
	if err := hookclient.Status(who, resp); err != nil {
		return v, err
	}
	if resp.StatusCode == http.StatusNoContent {
		return filterproto.Verdict{Disposition: filterproto.Accept}, nil
	}
	if err := hookclient.JSON(who, resp, patchType); err != nil {
		return v, err
	}
	raw := inv.m.Replacement(inv.ctx, 2*inv.m.Item.Size()+maxGrowth)
	raw.FixLineEnds = true
	defer func() { err = errors.Join(err, raw.Abort()) }()
	sp := newSpill(resp.Body, raw, maxAnswer)
	text, err := sp.read()
	if err != nil {
		return v, inv.fault(err)
	}
	a, err := parseAnswer(text)
	if err != nil {
		return v, err
	}
	if a.bodies() && sp.spilled == 0 {
		if err := a.decodeRaw(raw); err != nil {
			return v, inv.fault(err)
		}
	}
	c := changes{f: inv.f, inv: inv}
	if err := c.all(a); err != nil {
		return v, err
	}
	if c.replaced {
		if err := inv.finishSource(); err != nil {
			return v, err
		}
		edits, err := raw.Edits(inv.ctx, inv.src)
		if errors.Is(err, filter.ErrReplacementEmpty) {
			return v, scanner.Protocol("%s gives an empty message back", who)
		}
		if err != nil {
			return v, err
		}
		c.message = edits
	}
	if v, err = c.verdict(inv.m.Filter); err != nil {
		return v, err
	}
	if err := filter.Validate(v); err != nil {
		return filterproto.Verdict{}, scanner.Protocol("%s: %v", who, err)
	}
	return v, nil
}

// fault gives an error of reading an answer its class; those of the queue have
// none.
func (inv *invocation) fault(err error) error {
	switch {
	case errors.Is(err, filter.ErrReplacementLarge):
		return scanner.Protocol("%s gives a message back that is too large", who)
	case errors.Is(err, errSpilled):
		return scanner.Protocol("%v", err)
	}
	var own uploadError
	if errors.As(err, &own) {
		return own.err
	}
	return scanner.Fault(inv.ctx, who, err)
}

// finishSource reads the content's end, which makes its digest known.
func (inv *invocation) finishSource() error {
	if inv.src == nil {
		var err error
		if inv.src, err = inv.m.Source(inv.ctx, false); err != nil {
			return err
		}
	}
	if _, err := io.Copy(io.Discard, inv.src); err != nil {
		return err
	}
	return inv.src.Err()
}

// Bounds.
const (
	maxAnswer = 1 << 20 // octets of an answer without a message in it
	maxGrowth = 1 << 20 // octets that a message may grow by, beyond twice its size
	maxHeader = 1 << 20 // octets of a header section whose fields are named one by one
)
