package httpapi

import (
	"context"
	"fmt"
	"sync"

	"mtad/api"
	"mtad/filterproto"
	"mtad/queue"
)

// CreateVerdicts judges a batch. The entries go to the engine side by side, so
// that the store makes them durable with few syncs.
func (h handlers) CreateVerdicts(ctx context.Context, req api.CreateVerdictsRequestObject) (api.CreateVerdictsResponseObject, error) {
	entries := req.Body.Verdicts
	if err := checkCount("verdicts", len(entries)); err != nil {
		return nil, err
	}
	for i, e := range entries {
		if len(e.Nonce) > filterproto.MaxNonce {
			return nil, failField(filterproto.CodeInvalidRequest, fmt.Sprintf("verdicts[%d].nonce", i), fmt.Sprintf("at most %d octets", filterproto.MaxNonce))
		}
	}
	who := callerOf(ctx)
	results := make([]filterproto.Result, len(entries))
	sideBySide(len(entries), judgeAtOnce, func(i int) {
		results[i] = h.judge(ctx, who, entries[i])
	})
	return api.CreateVerdicts200JSONResponse{Results: results}, nil
}

func checkCount(field string, n int) error {
	if n < 1 || n > filterproto.MaxBatch {
		return failField(filterproto.CodeInvalidRequest, field, fmt.Sprintf("want 1 to %d", filterproto.MaxBatch))
	}
	return nil
}

// sideBySide calls f for 0 to n-1, at most width at a time, and waits.
func sideBySide(n, width int, f func(i int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(n, width) {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

func (h handlers) judge(ctx context.Context, who *caller, e filterproto.VerdictEntry) (r filterproto.Result) {
	r.Token = e.Token
	defer h.containEntry(&r)
	name, token, err := h.seal.unwrap(e.Token, who)
	var items []queue.Item
	if err == nil {
		items, err = h.filters.Judge(ctx, name, token, e.Nonce, e.Verdict)
	}
	if err != nil {
		h.entryError(&r, err)
		return r
	}
	r.OK = true
	for _, it := range items {
		r.Items = append(r.Items, resultItem(it))
	}
	return r
}

// containEntry keeps a panic of one entry from the others, and from the process:
// it happened on a goroutine that net/http does not guard.
func (s *Server) containEntry(r *filterproto.Result) {
	if p := recover(); p != nil {
		s.log.Error("verdict panicked", "panic", p)
		*r = filterproto.Result{Token: r.Token, Error: fail(filterproto.CodeInternal, "internal error")}
	}
}

// entryError puts an error into one result of a batch.
func (s *Server) entryError(r *filterproto.Result, err error) {
	e, known := errorOf(err)
	if !known {
		s.log.Error("claim request failed", "error", err)
	}
	r.Error = e
}

// RenewClaims extends leases.
func (h handlers) RenewClaims(ctx context.Context, req api.RenewClaimsRequestObject) (api.RenewClaimsResponseObject, error) {
	b := req.Body
	if err := checkCount("tokens", len(b.Tokens)); err != nil {
		return nil, err
	}
	if !within(b.Lease, queue.MaxLease) {
		return nil, failField(filterproto.CodeInvalidRequest, "lease", "want seconds from 0 to 3600")
	}
	lease := duration(b.Lease, defaultLease)
	results := make([]filterproto.Result, len(b.Tokens))
	for name, g := range h.byFilter(callerOf(ctx), b.Tokens, results) {
		for i, err := range h.filters.Extend(ctx, name, g.tokens, lease) {
			h.done(&results[g.at[i]], err)
		}
	}
	return api.RenewClaims200JSONResponse{Results: results}, nil
}

// ReleaseClaims gives messages back.
func (h handlers) ReleaseClaims(ctx context.Context, req api.ReleaseClaimsRequestObject) (api.ReleaseClaimsResponseObject, error) {
	b := req.Body
	if err := checkCount("tokens", len(b.Tokens)); err != nil {
		return nil, err
	}
	if !within(b.Delay, maxDelay) {
		return nil, failField(filterproto.CodeInvalidRequest, "delay", "want seconds from 0 to 86400")
	}
	delay := duration(b.Delay, 0)
	results := make([]filterproto.Result, len(b.Tokens))
	for name, g := range h.byFilter(callerOf(ctx), b.Tokens, results) {
		for i, t := range g.tokens {
			h.done(&results[g.at[i]], h.filters.Release(ctx, name, t, delay, b.Lost))
		}
	}
	return api.ReleaseClaims200JSONResponse{Results: results}, nil
}

// tokenGroup are the tokens of one filter with their places in the request.
type tokenGroup struct {
	tokens []queue.Token
	at     []int
}

// byFilter opens tokens; those that are not good get their error at once.
func (h handlers) byFilter(who *caller, tokens []string, results []filterproto.Result) map[string]tokenGroup {
	groups := make(map[string]tokenGroup)
	for i, token := range tokens {
		results[i].Token = token
		name, t, err := h.seal.unwrap(token, who)
		if err != nil {
			h.entryError(&results[i], err)
			continue
		}
		g := groups[name]
		groups[name] = tokenGroup{append(g.tokens, t), append(g.at, i)}
	}
	return groups
}

func (h handlers) done(r *filterproto.Result, err error) {
	if err != nil {
		h.entryError(r, err)
		return
	}
	r.OK = true
}

// CreateUpload stores octets for an edit.
func (h handlers) CreateUpload(ctx context.Context, req api.CreateUploadRequestObject) (api.CreateUploadResponseObject, error) {
	u, err := h.upload(ctx, req.Token, req.Body)
	return api.CreateUpload201JSONResponse(u), err
}

// PutUpload is CreateUpload.
func (h handlers) PutUpload(ctx context.Context, req api.PutUploadRequestObject) (api.PutUploadResponseObject, error) {
	u, err := h.upload(ctx, req.Token, req.Body)
	return api.PutUpload201JSONResponse(u), err
}

// GetClaimContent reads a claimed message.
func (h handlers) GetClaimContent(ctx context.Context, req api.GetClaimContentRequestObject) (api.GetClaimContentResponseObject, error) {
	name, t, err := h.seal.unwrap(req.Token, callerOf(ctx))
	if err != nil {
		return nil, err
	}
	if req.Params.Offset < 0 {
		return nil, failField(filterproto.CodeInvalidParameter, "offset", "want 0 or more")
	}
	c, err := h.filters.Open(ctx, name, t, -1, req.Params.Trace, req.Params.Offset)
	if err != nil {
		return nil, err
	}
	return content{c}, nil
}
