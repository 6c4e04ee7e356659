package httpapi

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mtad/api"
	"mtad/filterproto"
	"mtad/internal/admission"
	"mtad/internal/filter"
	"mtad/internal/tokens"
	"mtad/queue"
)

// Filters is what the API needs of a filter engine; *filter.Engine is one.
type Filters interface {
	Claim(ctx context.Context, r filter.ClaimRequest) ([]queue.Claim, error)
	Extend(ctx context.Context, name string, tokens []queue.Token, d time.Duration) []error
	Release(ctx context.Context, name string, t queue.Token, delay time.Duration, lost bool) error
	Open(ctx context.Context, name string, t queue.Token, generation int, trace bool, offset int64) (queue.Content, error)
	Upload(ctx context.Context, name string, t queue.Token) (queue.BlobWriter, error)
	Judge(ctx context.Context, name string, t queue.Token, nonce string, v filterproto.Verdict) ([]queue.Item, error)
	// FirstStages maps each chain to the stage where a re-scan begins.
	FirstStages() map[string]string
}

// Options configure a Server. Queue is required; for everything else the zero
// value works.
type Options struct {
	Queue queue.Queue
	// Filters serves claims; without it there are none.
	Filters Filters

	// Door takes messages; without it none are. Its rules say who of this machine may hand them in.
	Door *admission.Door

	// TempDir is where long strings of a body are kept while it is read, in files
	// without a name. Default: the system's.
	TempDir string

	// Webhooks are shown and driven; without it there are none.
	Webhooks Webhooks

	// Tokens are the bearer tokens that are good. SetAccess replaces them.
	Tokens []Token
	// Stored are the tokens that are made over the API; without it none are.
	Stored *tokens.Store
	// Peers are the users that need no token on a unix socket. nil: root and the
	// user of this process may do everything; empty: nobody.
	Peers []Peer
	// ClaimKey seals claim tokens, at least 32 octets; processes that share a queue
	// share it. Default: a random one.
	ClaimKey []byte

	// Process describes the process in /v1/status.
	Process Process
	// FilterStates adds what the queue does not know to /v1/filters: kind, timing,
	// breaker, failures. A filter that it does not name is listed by its stage alone.
	FilterStates func(ctx context.Context) []api.FilterState

	// Route resolves the recipient of a redirect. Without it the recipient gets no
	// route and the queue manager resolves it.
	Route func(path string) (transport, nextHop string, err error)
	// Postmaster is who hears of what was redirected and could not be delivered.
	Postmaster string

	Limits   Limits
	Logger   *slog.Logger
	Registry prometheus.Registerer
	// Gatherer serves /metrics; without it that is empty.
	Gatherer prometheus.Gatherer
	// Now is the clock of token expiry and rate limits. Default time.Now.
	Now func() time.Time
}

// Process describes the process. The functions may be nil.
type Process struct {
	Version, Hostname string
	Started           time.Time
	Listeners         func() []api.Listener
	Problems          func() []api.Problem
	// Unsafe lists settings that void a promise, besides those the queue names.
	Unsafe func() []string
	// Maildrop is what lies there; nil or zero: there is none.
	Maildrop func() api.Maildrop
}
