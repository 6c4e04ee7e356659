package clamdfilter

import (
	"context"
	"errors"
	"io"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/filter/scanner"
)

// Options configure a Filter. Address is required.
type Options struct {
	// Address is "unix:/path" or "host:port".
	Address string
	// Descriptor passes messages as descriptors; it wants a unix socket.
	Descriptor bool
	// Virus is what a find is turned into. Default scanner.Reject.
	Virus scanner.Policy
	// ScannedField and StatusField are header fields that tell of the scan: who
	// scanned, and "Clean" or "Infected (NAME)". "" adds none. Fields of these names
	// that a message brings along are removed.
	ScannedField, StatusField string
	// Hostname is named in ScannedField.
	Hostname string
}

// Filter is a filter.Kind. Its memory is one chunk for each scan under way, and
// with Options.Descriptor the message.
type Filter struct {
	o    Options
	pool *pool
}

// New makes a Filter. It connects to nothing yet.
func New(o Options) (*Filter, error) {
	a, err := scanner.ParseAddress(o.Address)
	if err != nil {
		return nil, err
	}
	if o.Descriptor && a.Network != "unix" {
		return nil, errors.New("clamdfilter: a descriptor can be passed over a unix socket only")
	}
	return &Filter{o: o, pool: &pool{addr: a}}, nil
}

// Scan shows the message to clamd.
func (f *Filter) Scan(ctx context.Context, m filter.Message) (filterproto.Verdict, error) {
	content, err := m.Open(ctx, false)
	if err != nil {
		return filterproto.Verdict{}, err
	}
	defer content.Close()
	virus, err := f.ask(ctx, content)
	if err != nil {
		return filterproto.Verdict{}, err
	}
	if virus == "" {
		return filterproto.Verdict{Disposition: filterproto.Accept, Edits: f.marks("Clean")}, nil
	}
	v := f.o.Virus.Verdict(scanner.Find{
		Text: "virus found: " + virus, Reason: "virus found: " + virus, Marks: f.marks("Infected (" + virus + ")"),
	})
	v.Symbols = []string{virus}
	return v, nil
}

func (f *Filter) ask(ctx context.Context, content io.Reader) (virus string, err error) {
	s, err := f.pool.get(ctx)
	if err != nil {
		return "", err
	}
	virus, err = s.scan(ctx, content, f.o.Descriptor)
	if err != nil {
		s.conn.Close()
		return "", err
	}
	f.pool.put(s)
	return virus, nil
}

// marks are the edits for the two fields: those from outside off, ours on.
func (f *Filter) marks(status string) []filterproto.Edit {
	var none scanner.Forged
	edits := none.Remove(f.o.ScannedField, f.o.StatusField)
	if f.o.StatusField != "" {
		edits = append(edits, scanner.OnTop(f.o.StatusField, status))
	}
	if f.o.ScannedField != "" {
		edits = append(edits, scanner.OnTop(f.o.ScannedField, "clamd at "+f.o.Hostname))
	}
	return edits
}

// Close ends the connections that are kept for the next message.
func (f *Filter) Close() error {
	f.pool.close()
	return nil
}
