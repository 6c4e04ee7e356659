package admission

import (
	"io"
	"slices"

	"mtad/internal/msa"
)

// bindsFrom says that the header section has to be looked at.
func (g *Grant) bindsFrom() bool {
	return g.From && len(g.Senders) > 0 && !slices.Contains(g.Senders, "any")
}

// mayBeFrom checks the addresses of From and Sender.
func (d *Door) mayBeFrom(c *Caller, from []string) error {
	if len(from) == 0 {
		return forbidden("from", "this caller has to say who the message is from")
	}
	for _, a := range from {
		path, err := d.complete(a)
		if err != nil || path == "" || !c.Grant.maySend(path, func(local, domain string) bool { return d.own(c, local, domain) }) {
			return forbidden("from", "this caller may not use this address in From")
		}
	}
	return nil
}

// checked passes content on until its header section turns out to be from somebody
// the caller may not be. Close ends it.
func (d *Door) checked(c *Caller, w io.Writer) io.WriteCloser {
	return msa.NewCompleter(msa.CompleterOptions{
		Refuse: func(from []string, readable bool) error {
			if !readable {
				from = nil
			}
			return d.mayBeFrom(c, from)
		},
	}, w.Write)
}

// chain is the filter chain of a request.
func (d *Door) chain(c *Caller, r *Request) (string, error) {
	g := &c.Grant
	switch {
	case r.Chain == "" || r.Chain == g.Chain:
		return g.Chain, nil
	case r.Chain == NoChain && slices.Contains(g.Chains, NoChain):
		return "", nil
	case r.Chain == NoChain || !slices.Contains(g.Chains, r.Chain) && !slices.Contains(g.Chains, "*"):
		return "", forbidden("chain", "this caller may not choose this chain")
	case d.o.HasChain != nil && !d.o.HasChain(r.Chain):
		return "", invalid("chain", "no such chain")
	}
	return r.Chain, nil
}
