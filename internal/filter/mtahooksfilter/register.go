package mtahooksfilter

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"mtad/internal/filter"
	"mtad/internal/filter/hookclient"
	"mtad/internal/filter/scanner"
)

const (
	maxDocument = 256 << 10        // octets of a discovery document or a registration
	early       = 10 * time.Second // before it expires a registration is made anew
	endTime     = 5 * time.Second  // of taking it back
)

// registration is what the scanner agreed on.
type registration struct {
	id         string // "" without one
	endpoint   *url.URL
	end        *url.URL // to take it back; nil: nowhere
	expires    time.Time
	stages     []string
	properties []string
	update     []string // nil: anything
	maxSize    int64    // of a message; 0: not said
}

// registrar keeps the registration of a Filter.
type registrar struct {
	o   Options
	c   *hookclient.Client
	sem chan struct{} // held by who looks at now, or makes it anew
	now *registration
}

func newRegistrar(o Options, c *hookclient.Client) *registrar {
	r := &registrar{o: o, c: c, sem: make(chan struct{}, 1)}
	if o.Setup == Endpoint {
		r.now = &registration{endpoint: c.URL(), stages: o.stages, properties: properties()}
	}
	return r
}

// get returns a registration that is good, making one where there is none.
func (r *registrar) get(ctx context.Context) (*registration, error) {
	select {
	case r.sem <- struct{}{}:
	case <-ctx.Done():
		return nil, &filter.Failure{Class: filter.Timeout, Err: ctx.Err()}
	}
	defer func() { <-r.sem }()
	if r.now != nil && (r.now.expires.IsZero() || r.now.expires.After(r.o.Now().Add(early))) {
		return r.now, nil
	}
	reg, err := r.register(ctx)
	if err != nil {
		return nil, err
	}
	r.now = reg
	return reg, nil
}

// drop forgets a registration that the scanner does not know any more; false when
// there is nothing to make anew.
func (r *registrar) drop(reg *registration) bool {
	if reg.id == "" {
		return false
	}
	r.sem <- struct{}{}
	defer func() { <-r.sem }()
	if r.now == reg {
		r.now = nil
	}
	return true
}

// end takes the registration back.
func (r *registrar) end() error {
	r.sem <- struct{}{}
	defer func() { <-r.sem }()
	reg := r.now
	if reg == nil || reg.end == nil {
		return nil
	}
	r.now = nil
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	resp, err := r.c.Do(ctx, hookclient.Request{Method: http.MethodDelete, URL: reg.end,
		Header: http.Header{"X-Mta-Hooks-Registration": {reg.id}}})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// ours are the stages of list that are ours to ask for; nil when there is none.
func (r *registrar) ours(list []string) (common []string) {
	for _, s := range r.o.stages {
		if slices.Contains(list, s) {
			common = append(common, s)
		}
	}
	return common
}

// registered is what we look at of the answer to a registration.
type registered struct {
	ID         string     `json:"registrationId"`
	Status     string     `json:"status"`
	Expires    *time.Time `json:"expiresAt"`
	Endpoint   string     `json:"hookEndpoint"`
	Negotiated struct {
		Serialization string `json:"serialization"`
		Inbound       *struct {
			Stages     []string `json:"stages"`
			Properties []string `json:"properties"`
		} `json:"inbound"`
	} `json:"negotiated"`
	Endpoints struct {
		Deregistration string `json:"deregistration"`
	} `json:"endpoints"`
}

func (r *registrar) register(ctx context.Context) (*registration, error) {
	at, want, reg := r.c.URL(), properties(), &registration{stages: r.o.stages}
	if r.o.Setup == Discovery {
		var err error
		if at, want, reg, err = r.discover(ctx); err != nil {
			return nil, err
		}
	}
	ask := map[string]any{
		"name": r.o.Name, "version": r.o.Version, "serialization": "json", "outbound": nil,
		"inbound": map[string]any{"stages": reg.stages, "properties": want},
	}
	if ms := r.o.Timeout.Milliseconds(); ms > 0 {
		ask["timeoutMs"] = ms
	}
	body, err := json.Marshal(ask)
	if err != nil {
		return nil, err
	}
	var a registered
	err = r.exchange(ctx, hookclient.Request{
		Method: http.MethodPost, URL: at, Header: http.Header{"Content-Type": {"application/json"}}, Size: int64(len(body)),
		Open: func() (io.Reader, error) { return bytes.NewReader(body), nil },
	}, http.StatusCreated, &a)
	if err != nil {
		return nil, err
	}
	return r.accept(at, want, reg, a)
}

// accept checks what the scanner made of a registration.
func (r *registrar) accept(at *url.URL, want []string, reg *registration, a registered) (*registration, error) {
	in := a.Negotiated.Inbound
	switch {
	case !goodID(a.ID):
		return nil, scanner.Protocol("%s gives no good registration ID", who)
	case a.Status != "active":
		return nil, scanner.Protocol("%s says that the registration is %.20q", who, a.Status)
	case a.Negotiated.Serialization != "json" || in == nil || r.ours(in.Stages) == nil:
		return nil, scanner.Protocol("%s does not agree to JSON at the stages %v", who, r.o.stages)
	}
	for _, p := range in.Properties {
		if slices.Contains(want, p) && !slices.Contains(reg.properties, p) {
			reg.properties = append(reg.properties, p)
		}
	}
	if a.Expires != nil {
		if reg.expires = *a.Expires; !reg.expires.After(r.o.Now()) {
			return nil, scanner.Protocol("%s gives a registration that is over", who)
		}
	}
	var err error
	reg.id, reg.stages = a.ID, r.ours(in.Stages)
	if reg.endpoint, err = r.c.Join(at, a.Endpoint); err != nil {
		return nil, err
	}
	if e := a.Endpoints.Deregistration; e != "" {
		reg.end, err = r.c.Join(at, e)
	}
	return reg, err
}

func (r *registrar) exchange(ctx context.Context, q hookclient.Request, status int, v any) error {
	resp, err := r.c.Do(ctx, q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := hookclient.Status(who, resp); err != nil {
		return err
	}
	if resp.StatusCode != status {
		return scanner.Protocol("%s answers HTTP %d to %s", who, resp.StatusCode, q.Method)
	}
	if err := hookclient.JSON(who, resp); err != nil {
		return err
	}
	b, err := hookclient.Read(ctx, who, resp.Body, maxDocument)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return scanner.Protocol("%s: %v", who, err)
	}
	return nil
}

// goodID is the grammar of registration IDs.
func goodID(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	for _, c := range []byte(s) {
		if c != '-' && c != '_' && c != ':' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}
