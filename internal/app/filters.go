package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"mtad/api"
	"mtad/internal/config"
	"mtad/internal/filter"
	"mtad/internal/intake"
)

// newFilters makes the filter engine of a configuration. It may be made again
// over the same queue and registry; claims made through the old one stay good.
func (a *App) newFilters(c *config.Config) (*filter.Engine, error) {
	chains, filters, err := a.filterSettings(c)
	if err != nil {
		return nil, fmt.Errorf("app: %w", err)
	}
	e, err := filter.New(filter.Options{
		Queue: a.queue, Chains: chains, Filters: filters, Route: a.resolve,
		Logger: a.log.Logger, Registry: a.reg,
	})
	if err != nil {
		return nil, fmt.Errorf("app: %w", err)
	}
	return e, nil
}

// filterSettings are the chains and filters of a configuration.
func (a *App) filterSettings(c *config.Config) (map[string]filter.Chain, map[string]filter.Definition, error) {
	chains := map[string]filter.Chain{}
	for name, ch := range c.Chains {
		chains[name] = filter.Chain{Filters: ch.Filters, Timing: timing(ch.Timing), Wait: ch.Wait}
	}
	filters := map[string]filter.Definition{}
	for name, f := range c.Filters {
		kind, err := a.newKind(c, f)
		if err != nil {
			return nil, nil, fmt.Errorf("filter %s: %w", name, err)
		}
		filters[name] = filter.Definition{
			Kind: f.Kind, Scanner: kind, Concurrency: f.Concurrency, Failure: failures(f.OnFailure), Timeout: scanTime(f), MaxSize: int64(f.MaxSize),
			Retention: retention(f.Quarantine),
			MaxClaims: f.MaxClaims, RetryDelay: f.RetryDelay, MaxBatch: f.MaxBatch,
			MaxLease: f.MaxLease, DefaultLease: f.Lease,
		}
	}
	return chains, filters, nil
}

func failures(on config.OnFailure) map[filter.Class]filter.Action {
	return map[filter.Class]filter.Action{
		filter.Unreachable: filter.Action(on.Unreachable),
		filter.Timeout:     filter.Action(on.Timeout),
		filter.Protocol:    filter.Action(on.Protocol),
		filter.Crash:       filter.Action(on.Crash),
		filter.OverSize:    filter.Action(on.OverSize),
	}
}

// retention of a filter's quarantine.
func retention(q config.FilterQuarantine) filter.Retention {
	r := filter.Retention{Keep: *q.Keep}
	_ = r.Then.UnmarshalText([]byte(q.Then)) // one of the words of the key table
	return r
}

func timing(word string) filter.Timing {
	switch word {
	case config.TimingInline:
		return filter.Inline
	case config.TimingInlinePark:
		return filter.InlineThenPark
	}
	return filter.After
}

// plan tells the door what a chain asks of it.
func (a *App) plan(chain string) intake.Plan {
	stage, timing, wait := a.filter.now.Load().Plan(chain)
	return intake.Plan{Stage: stage, Timing: intake.Timing(timing), Wait: wait}
}

// startFilters runs the engine in use.
func (a *App) startFilters() {
	a.swept = startWorker(a.watch("filters", a.filter.now.Load().Run))
	a.down.push("filters", func(ctx context.Context) error { return a.swept.end(ctx) })
}

// filterStates is what /v1/filters adds to what the queue knows.
func (a *App) filterStates(ctx context.Context) []api.FilterState {
	list, err := a.filter.now.Load().Status(ctx)
	if err != nil {
		return nil
	}
	out := make([]api.FilterState, 0, len(list))
	for _, s := range list {
		if s.Orphan {
			continue
		}
		out = append(out, api.FilterState{
			Name: s.Name, Kind: s.Kind, Chains: s.Chains, Timing: strings.Join(slices.Compact(s.Timings), ", "),
			Breaker: s.Breaker, LastClaimAt: s.LastPoll, Waiting: s.Depth, Leased: s.Leased, Oldest: s.Oldest,
			InFlight: s.Scanning, Limit: s.Limit, Verdicts: s.Verdicts, Failures: s.Failures,
			LastError: s.LastError, LastErrorAt: s.LastErrorAt,
		})
	}
	return out
}
