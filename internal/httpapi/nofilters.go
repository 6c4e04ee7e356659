package httpapi

import (
	"context"
	"time"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/intake"
	"mtad/queue"
)

// noFilters serves where no filter engine is configured.
type noFilters struct{}

func (noFilters) Claim(context.Context, filter.ClaimRequest) ([]queue.Claim, error) {
	return nil, filter.ErrNoFilter
}

func (noFilters) Extend(_ context.Context, _ string, tokens []queue.Token, _ time.Duration) []error {
	errs := make([]error, len(tokens))
	for i := range errs {
		errs[i] = queue.ErrLeaseLost
	}
	return errs
}

func (noFilters) Release(context.Context, string, queue.Token, time.Duration, bool) error {
	return queue.ErrLeaseLost
}

func (noFilters) Open(context.Context, string, queue.Token, int, bool, int64) (queue.Content, error) {
	return nil, queue.ErrLeaseLost
}

func (noFilters) Upload(context.Context, string, queue.Token) (queue.BlobWriter, error) {
	return nil, queue.ErrLeaseLost
}

func (noFilters) Judge(context.Context, string, queue.Token, string, filterproto.Verdict) ([]queue.Item, error) {
	return nil, queue.ErrLeaseLost
}

func (noFilters) FirstStages() map[string]string { return nil }

// noIntake is the door of a server without one: nothing is taken.
type noIntake struct{}

// Open refuses everything.
func (noIntake) Open(context.Context, queue.Envelope, intake.Door) (*intake.Message, error) {
	return nil, queue.ErrUnavailable
}
