package dmarcfilter

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/msgauth"
	"mtad/queue"
)

// Bounds.
const (
	maxHeader = 1 << 20 // octets of a header section
	maxSingle = 100     // fields that are removed one by one
)

const resultsField = "Authentication-Results"

// Policy is what is done about a message that fails under a DMARC policy.
type Policy string

// The policies.
const (
	Record     Policy = "record"     // in the field, and no more
	Quarantine Policy = "quarantine" // held
	Reject     Policy = "reject"     // 550 5.7.1 to a waiting client, a failed DSN otherwise
)

// Options configure a Filter. ID and Resolver are required.
type Options struct {
	// ID is our authserv-id, usually the host name.
	ID string
	// Forged are further ids that only we may claim.
	Forged   []string
	Resolver msgauth.Resolver
	// Own reports whether a message is from a client of ours, which is not checked;
	// Trusted, whether it is from a relay of ours that checks messages itself. Nil:
	// never.
	Own, Trusted func(*queue.Item) bool

	// OnReject and OnQuarantine are for messages that fail under a policy of reject
	// and of quarantine. Default Record.
	OnReject, OnQuarantine Policy
	// Defer messages with 451 while the DNS does not say what SPF or DMARC makes of
	// them. Default: temperror is recorded.
	Defer bool
	// Time is how long the checks of a message may take; what is not known then is
	// a temperror. Default 20 s.
	Time time.Duration
	// Sample picks a number below n, for pct=. Default: at random.
	Sample func(n int) int
}

// Filter is a filter.Kind. Its memory is a header section and a few buffers for
// each scan under way.
type Filter struct {
	o       Options
	checker *msgauth.Checker
}

// New makes a Filter.
func New(o Options) (*Filter, error) {
	if o.ID == "" || o.Resolver == nil {
		return nil, errors.New("dmarcfilter: ID and Resolver are required")
	}
	never := func(*queue.Item) bool { return false }
	if o.Own == nil {
		o.Own = never
	}
	if o.Trusted == nil {
		o.Trusted = never
	}
	if o.Time <= 0 {
		o.Time = 20 * time.Second
	}
	return &Filter{o: o, checker: &msgauth.Checker{Resolver: o.Resolver, Sample: o.Sample}}, nil
}

// Scan checks the message.
func (f *Filter) Scan(ctx context.Context, m filter.Message) (filterproto.Verdict, error) {
	v := filterproto.Verdict{Disposition: filterproto.Accept}
	if f.o.Trusted(&m.Item) {
		v.Reason = "from a relay that checks messages itself"
		return v, nil
	}
	hidden, err := f.hidden(ctx, m)
	if err != nil || slices.ContainsFunc(hidden, f.forges) {
		return refuseHidden(err)
	}
	edits, err := f.forged(ctx, m)
	if v.Edits = edits; err != nil {
		return refuse(err)
	}
	if f.o.Own(&m.Item) {
		v.Reason = "from a client of ours: not checked"
		return v, nil
	}
	r, err := f.check(ctx, m, hidden)
	if err != nil {
		return refuse(err)
	}
	return f.verdict(v, r), nil
}

// check takes what was received.
func (f *Filter) check(ctx context.Context, m filter.Message, hidden []filter.Field) (msgauth.Results, error) {
	c, err := m.OpenReceived(ctx)
	if err != nil {
		return msgauth.Results{}, err
	}
	defer c.Close()
	header, body, err := filter.ReadHeader(c, maxHeader)
	if err != nil {
		return msgauth.Results{}, err
	}
	ask, stop := context.WithTimeout(ctx, f.o.Time)
	defer stop()
	s := sessionOf(m.Item.Envelope)
	for _, h := range hidden {
		if strings.EqualFold(h.Name, "From") {
			s.Hidden = append(s.Hidden, string(h.Value))
		}
	}
	r, err := f.checker.Check(ask, s, header, body)
	if err == nil {
		err = ctx.Err() // then it says nothing about the message
	}
	return r, err
}

func sessionOf(e queue.Envelope) msgauth.Session {
	addr, _ := netip.ParseAddr(e.Client.Address)
	return msgauth.Session{Client: addr, Helo: e.Client.Helo, ReversePath: e.ReversePath}
}

// refuse turns away what has a header section beyond bounds: it cannot be
// edited, so what is forged in it would stay.
func refuse(err error) (filterproto.Verdict, error) {
	var large *filter.VerdictError
	if !errors.As(err, &large) {
		return filterproto.Verdict{}, err
	}
	return filterproto.Verdict{
		Disposition: filterproto.Reject, Reason: "header section of more than 1 MB",
		Reply: &filterproto.Reply{Code: 552, Enhanced: "5.3.4", Text: "header section too large"},
	}, nil
}

// hidden are what may be fields behind a line that ends the header section and is
// not empty: to readers that go on over such lines they are. They cannot be taken
// off, being body here.
func (f *Filter) hidden(ctx context.Context, m filter.Message) ([]filter.Field, error) {
	c, err := m.Open(ctx, false)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return filter.Hidden(c, maxHeader)
}

func (f *Filter) forges(h filter.Field) bool {
	return strings.EqualFold(h.Name, resultsField) && f.claims(h)
}

func refuseHidden(err error) (filterproto.Verdict, error) {
	if err != nil {
		return refuse(err)
	}
	return filterproto.Verdict{
		Disposition: filterproto.Reject, Reason: "forged Authentication-Results behind a broken header section",
		Reply: &filterproto.Reply{Code: 554, Enhanced: "5.6.0", Text: "header section is broken"},
	}, nil
}

func (f *Filter) claims(h filter.Field) bool {
	return msgauth.Claims(string(h.Value), append([]string{f.o.ID}, f.o.Forged...)...)
}

// forged are the edits that take off fields that claim to be ours, in the
// message as it is now.
func (f *Filter) forged(ctx context.Context, m filter.Message) ([]filterproto.Edit, error) {
	c, err := m.Open(ctx, false)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	fields, _, err := filter.ReadFields(c, maxHeader)
	if err != nil {
		return nil, err
	}
	var edits []filterproto.Edit
	n := 0
	for _, h := range fields {
		if !strings.EqualFold(h.Name, resultsField) {
			continue
		}
		if n++; !f.claims(h) {
			continue
		}
		// Later ones go first, so that positions hold.
		one := filterproto.Edit{Op: filterproto.HeaderDelete, Name: resultsField, Index: n}
		edits = append([]filterproto.Edit{one}, edits...)
		if len(edits) > maxSingle {
			return []filterproto.Edit{{Op: filterproto.HeaderDelete, Name: resultsField}}, nil
		}
	}
	return edits, nil
}
