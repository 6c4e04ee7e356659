package smtpfilter

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/smtp"
	"mtad/internal/smtpclient"
	"mtad/queue"
)

// Options describe one scanner. Address and Returns are required.
type Options struct {
	Network, Address string // "tcp" or "unix"; "" is tcp
	// LMTP: it speaks LMTP (RFC 2033) and answers for each recipient.
	LMTP bool
	// Hostname is what EHLO says.
	Hostname string
	// Trace puts our own trace field in front of the content.
	Trace bool
	// Growth is how many octets a message may grow by on its way; default 1 MiB.
	Growth int64
	// Returns is where messages come back.
	Returns *Returns
	Logger  *slog.Logger
}

// Filter is a scanner. It is a filter.Kind, safe for concurrent use.
type Filter struct{ o Options }

// New makes a Filter. It does no I/O.
func New(o Options) (*Filter, error) {
	if o.Address == "" || o.Returns == nil {
		return nil, errors.New("smtpfilter: Address or Returns is missing")
	}
	if o.Network == "" {
		o.Network = "tcp"
	}
	if o.Growth <= 0 {
		o.Growth = 1 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Filter{o: o}, nil
}

// Scan sends the message and waits for what becomes of it.
func (f *Filter) Scan(ctx context.Context, m filter.Message) (filterproto.Verdict, error) {
	if !slices.ContainsFunc(m.Item.Envelope.Recipients, func(r queue.Recipient) bool { return r.Status == queue.Pending }) {
		return filterproto.Verdict{Disposition: filterproto.Accept, Reason: "no recipient is left"}, nil
	}
	conn, err := smtpclient.Dial(ctx, f.o.Network, f.o.Address, smtpclient.Options{
		Hostname: f.o.Hostname, LMTP: f.o.LMTP, TLS: smtpclient.TLSNone, Timeouts: times(ctx),
	})
	if err != nil {
		return filterproto.Verdict{}, failure(unreached(err), err)
	}
	defer conn.Close()
	src, err := m.Source(ctx, f.o.Trace)
	if err != nil {
		return filterproto.Verdict{}, err
	}
	defer src.Close()
	ident := newIdent(m.Item.ID)
	p := newPairing(m, src, src.Size()+f.o.Growth)
	f.o.Returns.begin(ident, p)
	v, err := f.send(ctx, conn, p, ident)
	f.end(ident, p)
	return v, err
}

// end forgets the scan, but not whom it served.
func (f *Filter) end(ident string, p *pairing) {
	p.mu.Lock()
	p.ended = true
	var s *served
	if p.judged || p.verdict != nil {
		s = &p.served
	}
	p.mu.Unlock()
	f.o.Returns.end(ident, s)
}

func (f *Filter) send(ctx context.Context, conn *smtpclient.Conn, p *pairing, ident string) (filterproto.Verdict, error) {
	told, err := conn.Forward(forward(p.m.Item, ident))
	if err != nil {
		return filterproto.Verdict{}, failure(unreached(err), err)
	}
	var content io.Reader = p.src
	size := p.src.Size()
	if !slices.Contains(told, "IDENT") {
		p.byField = true
		field := fieldOf(ident)
		content, size = io.MultiReader(bytes.NewReader(field), content), size+int64(len(field))
	}
	t, sent := transaction(p.m.Item, size)
	out := conn.Send(ctx, t, content)
	if out.Err == nil {
		_ = conn.Quit()
	}
	v, err := p.finish(out, sent)
	if p.judged && (out.Err != nil || !out.Results[0].Reply.Positive()) {
		f.o.Logger.Warn("scanner gave a message back and then said otherwise", "queue_id", string(p.m.Item.ID),
			"filter", p.m.Filter, "reply", out.Results[0].Reply.String())
	}
	if err != nil && ctx.Err() != nil {
		return v, ctx.Err()
	}
	return v, err
}

// times are the limits of the dialogue: that of the whole scan, in effect.
func times(ctx context.Context) smtpclient.Timeouts {
	left := time.Hour
	if d, ok := ctx.Deadline(); ok {
		left = max(time.Until(d), time.Millisecond)
	}
	return smtpclient.Timeouts{Connect: min(left, 30*time.Second), Greeting: left, Command: left, DataInit: left, DataBlock: left, DataEnd: left}
}

// unreached is the class of an error before the message was sent.
func unreached(err error) filter.Class {
	if errors.Is(err, smtpclient.ErrProtocol) || errors.Is(err, smtpclient.ErrTooLong) {
		return filter.Protocol
	}
	return filter.Unreachable
}

// transaction is the envelope for the pending recipients, and their indexes.
func transaction(it queue.Item, size int64) (*smtpclient.Transaction, []int) {
	e := &it.Envelope
	t := &smtpclient.Transaction{
		ReversePath: e.ReversePath, Size: size, Body: string(e.Body), SMTPUTF8: e.SMTPUTF8,
		Return: e.Return, EnvID: e.EnvID,
	}
	var sent []int
	for i, r := range e.Recipients {
		if r.Status == queue.Pending {
			t.Recipients = append(t.Recipients, smtpclient.Recipient{Path: r.Path, Notify: smtp.Notify(r.Notify), ORCPT: r.ORCPT})
			sent = append(sent, i)
		}
	}
	return t, sent
}

// forward is what XFORWARD says of the client.
func forward(it queue.Item, ident string) []smtp.Attr {
	c := &it.Envelope.Client
	attr := func(name, value string) smtp.Attr {
		return smtp.Attr{Name: name, Value: value, Unavailable: value == ""}
	}
	name, source, port := c.Name, "REMOTE", ""
	if name == "unknown" {
		name = ""
	}
	a, err := netip.ParseAddr(c.Address)
	if err != nil {
		source = "LOCAL"
	}
	addr := c.Address
	if err == nil && a.Is6() {
		addr = "IPV6:" + addr
	}
	if c.Port != 0 {
		port = strconv.Itoa(int(c.Port))
	}
	return []smtp.Attr{
		attr("NAME", name), attr("ADDR", addr), attr("PORT", port), attr("PROTO", c.Protocol),
		attr("HELO", c.Helo), attr("IDENT", ident), attr("SOURCE", source),
	}
}
