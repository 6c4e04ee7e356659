package app

import (
	"context"
	"time"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/httpapi"
	"mtad/queue"
)

// The methods below make filterSwitch an httpapi.Filters.
var _ httpapi.Filters = (*filterSwitch)(nil)

// Claim is filter.Engine.Claim, and so on.
func (s *filterSwitch) Claim(ctx context.Context, r filter.ClaimRequest) ([]queue.Claim, error) {
	return s.now.Load().Claim(ctx, r)
}

func (s *filterSwitch) Extend(ctx context.Context, name string, tokens []queue.Token, d time.Duration) []error {
	return s.now.Load().Extend(ctx, name, tokens, d)
}

func (s *filterSwitch) Release(ctx context.Context, name string, t queue.Token, delay time.Duration, lost bool) error {
	return s.now.Load().Release(ctx, name, t, delay, lost)
}

func (s *filterSwitch) Open(ctx context.Context, name string, t queue.Token, generation int, trace bool, offset int64) (queue.Content, error) {
	return s.now.Load().Open(ctx, name, t, generation, trace, offset)
}

func (s *filterSwitch) Upload(ctx context.Context, name string, t queue.Token) (queue.BlobWriter, error) {
	return s.now.Load().Upload(ctx, name, t)
}

func (s *filterSwitch) Judge(ctx context.Context, name string, t queue.Token, nonce string, v filterproto.Verdict) ([]queue.Item, error) {
	return s.now.Load().Judge(ctx, name, t, nonce, v)
}

func (s *filterSwitch) FirstStages() map[string]string { return s.now.Load().FirstStages() }
