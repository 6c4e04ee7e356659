package httpapi

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"

	"mtad/api"
	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/queue"
)

// CreateClaims claims messages for a filter.
func (h handlers) CreateClaims(ctx context.Context, req api.CreateClaimsRequestObject) (api.CreateClaimsResponseObject, error) {
	b := *req.Body
	if err := checkClaim(req.Filter, b); err != nil {
		return nil, err
	}
	poll, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(h.draining, cancel)()
	claims, err := h.filters.Claim(poll, filter.ClaimRequest{
		Filter: req.Filter, Holder: b.Holder, Max: max(1, b.Max), MaxBytes: b.MaxBytes,
		Lease: duration(b.Lease, defaultLease), Wait: duration(b.Wait, 0),
	})
	switch {
	case ctx.Err() != nil:
		h.giveBack(req.Filter, claims)
		return nil, ctx.Err()
	case err != nil && h.draining.Err() != nil:
		claims = nil // as when the wait ended: the caller asks again, of whoever is there then
	case err != nil:
		return nil, err
	}
	batch := claimed{s: h.Server, filter: req.Filter, claims: claims, request: b}
	if requestOf(ctx).accept == filterproto.MediaFrames {
		return framedClaims{batch, ctx}, nil
	}
	return batch.json(ctx)
}

func checkClaim(name string, b filterproto.ClaimRequest) error {
	bad := func(field, want string) error {
		return failField(filterproto.CodeInvalidRequest, field, "want "+want)
	}
	switch {
	case !filterName(name):
		return failField(filterproto.CodeInvalidParameter, "filter", "not a filter's name")
	case b.Max < 0 || b.Max > filterproto.MaxBatch:
		return bad("max", fmt.Sprintf("1 to %d", filterproto.MaxBatch))
	case b.MaxBytes < 0:
		return bad("max_bytes", "0 or more")
	case !within(b.Lease, queue.MaxLease):
		return bad("lease", "seconds from 0 to 3600")
	case !within(b.Wait, queue.MaxWait):
		return bad("wait", "seconds from 0 to 60")
	case len(b.Holder) > filterproto.MaxHolder:
		return bad("holder", fmt.Sprintf("at most %d octets", filterproto.MaxHolder))
	case b.InlineMax < 0:
		return bad("inline_max", "0 or more")
	}
	switch b.Content {
	case "", filterproto.ContentNone, filterproto.ContentInline:
		return nil
	}
	return bad("content", "none or inline")
}

func filterName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// within checks a number of seconds; NaN is none.
func within(seconds float64, bound time.Duration) bool {
	return seconds >= 0 && seconds <= bound.Seconds()
}

// duration is a number of seconds that within has checked; 0 is d.
func duration(seconds float64, d time.Duration) time.Duration {
	if seconds == 0 {
		return d
	}
	return time.Duration(math.Round(seconds * float64(time.Second)))
}

// giveBack releases claims whose caller never heard of them.
func (s *Server) giveBack(name string, claims []queue.Claim) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, c := range claims {
		if err := s.filters.Release(ctx, name, c.Token, 0, false); err != nil {
			s.log.Debug("claim not given back; its lease runs out", "queue_id", c.Item.ID, "error", err)
		}
	}
}

// claimed is a batch on its way to the caller.
type claimed struct {
	s       *Server
	filter  string
	claims  []queue.Claim
	request filterproto.ClaimRequest
}

func (b *claimed) claim(c queue.Claim) filterproto.Claim {
	return filterproto.Claim{
		Token:   b.s.seal.wrap(b.filter, c.Token),
		Lease:   math.Round(c.For.Seconds()*1000) / 1000,
		Message: filter.Info(c.Item),
	}
}

// inline reports whether content of this item goes along, given the form's bound.
func (b *claimed) inline(it queue.Item, bound int64) bool {
	if n := b.request.InlineMax; n > 0 {
		bound = min(bound, n)
	}
	return b.request.Content == filterproto.ContentInline && it.Size() <= bound
}

func (b *claimed) open(ctx context.Context, c queue.Claim) (queue.Content, error) {
	return b.s.filters.Open(ctx, b.filter, c.Token, -1, b.request.Trace, 0)
}

// json is the answer as one JSON object. Content that cannot be read now is left
// to be fetched, where the error shows.
func (b *claimed) json(ctx context.Context) (api.CreateClaimsResponseObject, error) {
	out := api.CreateClaims200JSONResponse{Claims: make([]filterproto.Claim, 0, len(b.claims))}
	left := int64(maxJSONBatch)
	for _, qc := range b.claims {
		c := b.claim(qc)
		if b.inline(qc.Item, min(maxJSONInline, left)) {
			if content, err := b.read(ctx, qc); err == nil {
				c.Inline, c.Content = true, content
				left -= int64(len(content))
			}
		}
		out.Claims = append(out.Claims, c)
	}
	return jsonClaims{*b, out}, nil
}

func (b *claimed) read(ctx context.Context, c queue.Claim) ([]byte, error) {
	r, err := b.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	content := make([]byte, r.Size())
	_, err = io.ReadFull(r, content)
	return content, err
}

// jsonClaims gives the claims back when they could not be written.
type jsonClaims struct {
	claimed
	body api.CreateClaims200JSONResponse
}

// VisitCreateClaimsResponse writes the answer.
func (j jsonClaims) VisitCreateClaimsResponse(w http.ResponseWriter) error {
	err := j.body.VisitCreateClaimsResponse(w)
	if err != nil {
		j.s.giveBack(j.filter, j.claims)
		panic(http.ErrAbortHandler)
	}
	return nil
}
