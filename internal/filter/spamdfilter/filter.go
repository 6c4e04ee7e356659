package spamdfilter

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/filter/scanner"
)

// Options configure a Filter. Address is required; the zero value of everything
// else works.
type Options struct {
	// Address is "unix:/path" or "host:port".
	Address string
	// Method is "symbols" (default), "headers" or "process".
	Method string
	// User is whose preferences spamd uses; "" lets spamd decide.
	User string
	// Spam is what spam by spamd's own threshold is turned into. Default
	// scanner.Mark.
	Spam scanner.Policy
	// QuarantineAt, RejectAt and DiscardAt are scores from which on a message is
	// treated so, whatever spamd's threshold; nil: never. The hardest one counts.
	QuarantineAt, RejectAt, DiscardAt *float64
	// Fields, with symbols, says which messages get X-Spam fields: "all" (default),
	// "spam" or "none".
	Fields string
}

// Filter is a filter.Kind. Its memory does not grow with the message.
type Filter struct {
	o      Options
	addr   scanner.Address
	method string
}

// New makes a Filter. It connects to nothing yet.
func New(o Options) (*Filter, error) {
	a, err := scanner.ParseAddress(o.Address)
	if err != nil {
		return nil, err
	}
	if o.Spam == "" {
		o.Spam = scanner.Mark
	}
	f := &Filter{o: o, addr: a}
	switch o.Method {
	case "", "symbols":
		f.method = methodSymbols
	case "headers":
		f.method = methodHeaders
	case "process":
		f.method = methodProcess
	default:
		return nil, fmt.Errorf("spamdfilter: no method %q", o.Method)
	}
	if strings.ContainsFunc(o.User, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return nil, fmt.Errorf("spamdfilter: %q cannot be a user", o.User)
	}
	return f, nil
}

// Scan shows the message to spamd.
func (f *Filter) Scan(ctx context.Context, m filter.Message) (filterproto.Verdict, error) {
	content, err := m.Open(ctx, false)
	if err != nil {
		return filterproto.Verdict{}, err
	}
	defer content.Close()
	size := content.Size() // before anything is read
	r := bufio.NewReaderSize(content, 4<<10)
	method := f.method
	if mbox(r) {
		method = methodSymbols
	}
	forged := &scanner.Forged{Prefixes: []string{"x-spam-"}}
	front := "Return-Path: <" + m.Item.Envelope.ReversePath + ">\r\n" + string(m.Item.Trace)
	all := io.MultiReader(strings.NewReader(front), io.TeeReader(r, forged))
	length := int64(len(front)) + size
	x, err := ask(ctx, f.addr, head(method, f.o.User, length), all, length)
	if err != nil {
		return filterproto.Verdict{}, err
	}
	defer x.close()
	v, err := f.verdict(ctx, m, method, x, forged)
	if err != nil {
		return filterproto.Verdict{}, scanner.Fault(ctx, "spamd's answer", err)
	}
	return v, nil
}

func (f *Filter) verdict(ctx context.Context, m filter.Message, method string, x *exchange, forged *scanner.Forged) (filterproto.Verdict, error) {
	a, err := readAnswer(x.r)
	if err != nil {
		return filterproto.Verdict{}, err
	}
	body := &payload{r: x.r, left: a.length}
	var symbols []string
	var edits []filterproto.Edit
	if method == methodSymbols {
		if symbols, err = readSymbols(body); err == nil {
			edits = f.marks(a, symbols, forged)
		}
	} else {
		edits, err = rewritten(ctx, m, method, body)
	}
	if err != nil {
		return filterproto.Verdict{}, err
	}
	v := f.policy(a)(scanner.Find{
		Text:   "the message looks like spam",
		Reason: fmt.Sprintf("spam: score %.1f of %.1f", a.score, a.required), Marks: edits,
	})
	v.Score, v.Symbols = a.score, symbols
	return v, nil
}

// mbox reports whether a message begins with an mbox line. Behind our fields it
// would end the header section for spamd, and what comes back would not be the
// same message.
func mbox(r *bufio.Reader) bool {
	start, _ := r.Peek(6)
	return bytes.HasPrefix(start, []byte("From ")) || bytes.HasPrefix(start, []byte(">From "))
}

// policy is what the score asks for.
func (f *Filter) policy(a answer) func(scanner.Find) filterproto.Verdict {
	reached := func(at *float64) bool { return at != nil && a.score >= *at }
	switch {
	case reached(f.o.DiscardAt):
		return scanner.Discard.Verdict
	case reached(f.o.RejectAt):
		return scanner.Reject.Verdict
	case a.spam && (f.o.Spam == scanner.Reject || f.o.Spam == scanner.Discard):
		return f.o.Spam.Verdict
	case reached(f.o.QuarantineAt):
		return scanner.Quarantine.Verdict
	case a.spam:
		return f.o.Spam.Verdict
	}
	return func(d scanner.Find) filterproto.Verdict {
		return filterproto.Verdict{Disposition: filterproto.Accept, Edits: d.Marks}
	}
}
