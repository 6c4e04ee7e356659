package mtahooksfilter

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"mtad/internal/filter/hookclient"
	"mtad/internal/filter/scanner"
)

const wellKnown = "/.well-known/mta-hooks"

// discovered is what we look at of a discovery document.
type discovered struct {
	Version   string `json:"version"`
	Endpoints struct {
		Registration string `json:"registration"`
	} `json:"endpoints"`
	Serialization []string `json:"serialization"`
	Capabilities  struct {
		Inbound *struct {
			Stages []string `json:"stages"`
			Fetch  []string `json:"fetchProperties"`
			Update []string `json:"updateProperties"`
		} `json:"inbound"`
	} `json:"capabilities"`
	Limits *struct {
		MaxMessageSize int64 `json:"maxMessageSize"`
	} `json:"limits"`
}

// discover reads the discovery document: where to register, and what for.
func (r *registrar) discover(ctx context.Context) (at *url.URL, want []string, reg *registration, err error) {
	u, err := r.c.Join(r.c.URL(), wellKnown)
	if err != nil {
		return nil, nil, nil, err
	}
	var d discovered
	if err := r.exchange(ctx, hookclient.Request{Method: http.MethodGet, URL: u}, http.StatusOK, &d); err != nil {
		return nil, nil, nil, err
	}
	in := d.Capabilities.Inbound
	switch {
	case !strings.HasPrefix(d.Version, "1."):
		return nil, nil, nil, scanner.Protocol("%s speaks version %.20q of MTA Hooks", who, d.Version)
	case !slices.Contains(d.Serialization, "json"), in == nil, in != nil && r.ours(in.Stages) == nil:
		return nil, nil, nil, scanner.Protocol("%s does not offer JSON at the stages %v", who, r.o.stages)
	}
	for _, p := range properties() {
		if slices.Contains(in.Fetch, p) {
			want = append(want, p)
		}
	}
	reg = &registration{stages: r.ours(in.Stages), update: append([]string{}, in.Update...)}
	if d.Limits != nil {
		reg.maxSize = d.Limits.MaxMessageSize
	}
	at, err = r.c.Join(u, d.Endpoints.Registration)
	return at, want, reg, err
}
