package httpapi

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"mtad/api"
	"mtad/filterproto"
	"mtad/internal/admission"
	"mtad/internal/compose"
	"mtad/internal/route"
	"mtad/internal/submission"
	"mtad/internal/tokens"
)

// token finds a bearer token: one of the configuration, or one that was made.
func (s *Server) token(a *access, plain string) (Token, bool) {
	now := s.now()
	if t, ok := a.token(plain, now); ok || t.Hash != ([32]byte{}) || s.stored == nil {
		return t, ok
	}
	hash := HashToken(plain)
	kept, ok := s.stored.Find(hash)
	if !ok || !kept.Expires.IsZero() && !now.Before(kept.Expires) {
		return Token{}, false
	}
	s.stored.Used(kept.Name, now)
	return Token{Name: kept.Name, Hash: hash, Scopes: kept.Scopes, Expires: kept.Expires, Created: kept.Created, Submit: s.grant(&kept)}, true
}

var periods = map[string]time.Duration{"second": time.Second, "minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}

// grant is what a token that was made may hand in.
func (s *Server) grant(t *tokens.Token) admission.Grant {
	b := &t.Submit
	g := admission.Grant{
		Senders: b.Senders, From: true, Recipients: b.Recipients, Chain: b.Chain, Chains: b.Chains,
		Rate: b.Rate, RatePer: periods[b.RatePer], MaxSize: b.Size, Sandbox: b.Sandbox,
	}
	switch g.Chain {
	case "":
		g.Chain = s.door.Settings().Chain
	case admission.NoChain:
		g.Chain = ""
	}
	if b.PerDay > 0 {
		name := t.Name
		g.Spend = func(n int, now time.Time) (time.Duration, bool) { return s.stored.Spend(name, n, now) }
	}
	return g
}

// ListTokens lists tokens: those of the configuration, and those that were made.
func (h handlers) ListTokens(context.Context, api.ListTokensRequestObject) (api.ListTokensResponseObject, error) {
	out := api.ListTokens200JSONResponse{Tokens: []api.TokenInfo{}}
	for _, t := range h.access.Load().tokens {
		out.Tokens = append(out.Tokens, api.TokenInfo{Name: t.Name, Scopes: t.Scopes, Expires: t.Expires, Configured: true})
	}
	if h.stored == nil {
		return out, nil
	}
	for _, t := range h.stored.List() {
		b := t.Submit
		info := api.TokenInfo{Name: t.Name, Scopes: t.Scopes, Created: t.Created, CreatedBy: t.CreatedBy, Expires: t.Expires, LastUsed: t.LastUsed}
		info.Submit = api.TokenGrant{
			Senders: b.Senders, Recipients: b.Recipients, Rate: b.Rate, RatePer: b.RatePer, MessageSize: b.Size,
			RecipientsPerDay: b.PerDay, Chain: b.Chain, Chains: b.Chains, Sandbox: b.Sandbox,
		}
		out.Tokens = append(out.Tokens, info)
	}
	return out, nil
}

// CreateToken makes a token. Its secret is told once.
func (h handlers) CreateToken(ctx context.Context, req api.CreateTokenRequestObject) (api.CreateTokenResponseObject, error) {
	if h.stored == nil {
		return nil, fail(filterproto.CodeUnavailable, "no tokens are kept here")
	}
	b, who := req.Body, callerOf(ctx)
	t := tokens.Token{Name: b.Name, Scopes: b.Scopes, Created: h.now().UTC().Truncate(time.Second), CreatedBy: who.name, Expires: b.Expires}
	if err := checkToken(b, who, t.Created); err != nil {
		return nil, err
	}
	var err error
	if t.Submit, err = h.bounds(&b.Submit); err != nil {
		return nil, err
	}
	if err := h.within(who, &t); err != nil {
		return nil, err
	}
	exists := fail(filterproto.CodeTokenExists, "there is a token of this name")
	if slices.ContainsFunc(h.access.Load().tokens, func(c Token) bool { return c.Name == b.Name }) {
		return nil, exists
	}
	plain, stored := NewToken()
	t.SHA256 = hex.EncodeToString(stored.Hash[:])
	switch err := h.stored.Create(t); {
	case errors.Is(err, tokens.ErrExists):
		return nil, exists
	case errors.Is(err, tokens.ErrFull):
		return nil, fail(filterproto.CodeInvalidRequest, "too many tokens")
	case err != nil:
		return nil, fmt.Errorf("create token: %w", err)
	}
	h.log.InfoContext(ctx, "token created", "name", t.Name, "scopes", t.Scopes, "by", who.name)
	return api.CreateToken201JSONResponse{Name: t.Name, Token: plain, Scopes: t.Scopes, Expires: t.Expires}, nil
}

// RevokeToken ends a token that was made.
func (h handlers) RevokeToken(ctx context.Context, req api.RevokeTokenRequestObject) (api.RevokeTokenResponseObject, error) {
	if slices.ContainsFunc(h.access.Load().tokens, func(c Token) bool { return c.Name == req.Name }) {
		return nil, fail(filterproto.CodeTokenConfigured, "the token stands in the configuration, and is taken out there")
	}
	unknown := fail(filterproto.CodeNoToken, "no token of this name")
	if h.stored == nil {
		return nil, unknown
	}
	switch err := h.stored.Revoke(req.Name); {
	case errors.Is(err, tokens.ErrUnknown):
		return nil, unknown
	case err != nil:
		return nil, fmt.Errorf("revoke token: %w", err)
	}
	h.log.InfoContext(ctx, "token revoked", "name", req.Name, "by", callerOf(ctx).name)
	return api.RevokeToken204Response{}, nil
}

// checkToken checks name, scopes and time. Nobody gives away what he has not got.
func checkToken(b *api.NewToken, who *caller, now time.Time) error {
	bad := func(field, reason string) error { return failField(filterproto.CodeInvalidRequest, field, reason) }
	if !word(b.Name, 64) {
		return bad("name", "want up to 64 letters, digits and ._-")
	}
	if len(b.Scopes) == 0 || len(b.Scopes) > 32 {
		return bad("scopes", "want one at least")
	}
	for i, s := range b.Scopes {
		field := "scopes[" + strconv.Itoa(i) + "]"
		if !scopeForm.MatchString(s) {
			return bad(field, "no such scope")
		}
		name, isFilter := strings.CutPrefix(s, ScopeFilter)
		if !who.has(s) && (!isFilter || !who.mayFilter(name)) {
			return failField(filterproto.CodeForbidden, field, "the caller has no such scope itself")
		}
	}
	if !b.Expires.IsZero() && !b.Expires.After(now) {
		return bad("expires", "is over")
	}
	if !who.until.IsZero() && (b.Expires.IsZero() || b.Expires.After(who.until)) {
		return failField(filterproto.CodeForbidden, "expires", "want no later than the caller's own token")
	}
	return nil
}

// within refuses a token that may hand in more than its maker: who is bounded in
// what it hands in makes none that may, and nobody gives a chain that it could not
// choose itself. Who may change the queue can lead mail past filters as it is.
func (s *Server) within(who *caller, t *tokens.Token) error {
	if !slices.Contains(t.Scopes, ScopeSubmit) {
		return nil
	}
	own := &who.grant
	if own.Bounded() {
		return failField(filterproto.CodeForbidden, "scopes", "the caller is bounded itself in what it hands in")
	}
	if who.has(ScopeQueueWrite) {
		return nil
	}
	given := s.grant(t)
	for _, chain := range append([]string{given.Chain}, given.Chains...) {
		if !own.MayChoose(chain) {
			return failField(filterproto.CodeForbidden, "submit.chain", "the caller may not choose this chain itself")
		}
	}
	return nil
}

// Bounds of a token's bounds.
const (
	maxNamed = 1000
	maxCount = 1_000_000_000
)

func (s *Server) bounds(b *api.TokenGrant) (tokens.Submit, error) {
	bad := func(field, reason string) error {
		return failField(filterproto.CodeInvalidRequest, "submit."+field, reason)
	}
	out := tokens.Submit{Rate: b.Rate, RatePer: b.RatePer, Size: b.MessageSize, PerDay: b.RecipientsPerDay, Chain: b.Chain, Chains: b.Chains, Sandbox: b.Sandbox}
	for _, l := range []struct {
		name string
		from []string
		to   *[]string
	}{{"senders", b.Senders, &out.Senders}, {"recipients", b.Recipients, &out.Recipients}} {
		if len(l.from) > maxNamed {
			return out, bad(l.name, "more than "+strconv.Itoa(maxNamed))
		}
		for i, v := range l.from {
			p, ok := pattern(v)
			if !ok {
				return out, bad(l.name+"["+strconv.Itoa(i)+"]", "want a mailbox, @domain, or @*.domain")
			}
			*l.to = append(*l.to, p)
		}
	}
	switch {
	case b.Rate < 0 || b.Rate > maxCount:
		return out, bad("rate", "out of bounds")
	case b.RatePer != "" && (periods[b.RatePer] == 0 || b.Rate == 0):
		return out, bad("rate_per", "want second, minute, hour or day, with a rate")
	case b.MessageSize < 0 || b.MessageSize > maxMessage:
		return out, bad("message_size", "out of bounds")
	case b.RecipientsPerDay < 0 || b.RecipientsPerDay > maxCount:
		return out, bad("recipients_per_day", "out of bounds")
	case b.Chain != "" && !s.door.HasChain(b.Chain):
		return out, bad("chain", "no such chain")
	case len(b.Chains) > maxNamed:
		return out, bad("chains", "more than "+strconv.Itoa(maxNamed))
	}
	for i, c := range b.Chains {
		if c != "*" && !s.door.HasChain(c) {
			return out, bad("chains["+strconv.Itoa(i)+"]", "no such chain")
		}
	}
	return out, nil
}

// pattern is a mailbox, or a domain as admission.Grant has it.
func pattern(v string) (string, bool) {
	domain := strings.TrimPrefix(strings.TrimPrefix(v, "*"), "@")
	local, _, found := strings.Cut(v, "@")
	if found && local != "" && local != "*" {
		a, err := compose.NewAddress("", v)
		return a.Path, err == nil
	}
	below := strings.HasPrefix(domain, "*.") || strings.HasPrefix(domain, ".")
	domain = strings.TrimPrefix(strings.TrimPrefix(domain, "*"), ".")
	d, err := route.Domain(domain)
	if err != nil || d == "" {
		return "", false
	}
	if _, err := submission.ParseAddress("x@" + d); err != nil {
		return "", false
	}
	if below {
		d = "." + d
	}
	return d, true
}
