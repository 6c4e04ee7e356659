package httpapi

import (
	"context"
	"time"

	"mtad/api"
	"mtad/filterproto"
)

// GetHealthz answers while the process does.
func (h handlers) GetHealthz(context.Context, api.GetHealthzRequestObject) (api.GetHealthzResponseObject, error) {
	return api.GetHealthz200JSONResponse{Status: "ok"}, nil
}

// GetReadyz says whether new messages are accepted.
func (h handlers) GetReadyz(ctx context.Context, _ api.GetReadyzRequestObject) (api.GetReadyzResponseObject, error) {
	if h.draining.Err() != nil {
		e := fail(filterproto.CodeShuttingDown, "the process is stopping")
		e.RetryAfter = 5
		return nil, e
	}
	health := h.queue.Health(ctx)
	if health.Ready {
		return api.GetReadyz200JSONResponse{Status: "ok"}, nil
	}
	e := fail(health.Reason, "new messages are not accepted now: "+health.Reason)
	if api.StatusOf(e.Code) != 503 {
		e.Code = filterproto.CodeUnavailable
	}
	e.RetryAfter = 30
	return nil, e
}

// GetStatus describes the process.
func (h handlers) GetStatus(ctx context.Context, _ api.GetStatusRequestObject) (api.GetStatusResponseObject, error) {
	health := h.queue.Health(ctx)
	p := h.process
	out := api.GetStatus200JSONResponse{
		Version: p.Version, Hostname: p.Hostname, Started: p.Started,
		Uptime: h.now().Sub(p.Started).Round(time.Millisecond).Seconds(),
		Ready:  health.Ready && h.draining.Err() == nil, Reason: health.Reason, Detail: health.Detail,
		Writable: health.Writable, FreeBytes: health.FreeBytes,
		Unsafe: append([]string{}, health.Unsafe...), Listeners: []api.Listener{}, Problems: []api.Problem{},
	}
	if p.Listeners != nil {
		out.Listeners = append(out.Listeners, p.Listeners()...)
	}
	if p.Maildrop != nil {
		out.Maildrop = p.Maildrop()
	}
	if p.Problems != nil {
		out.Problems = append(out.Problems, p.Problems()...)
	}
	if p.Unsafe != nil {
		out.Unsafe = append(out.Unsafe, p.Unsafe()...)
	}
	if st, err := h.queue.Stats(ctx); err == nil {
		out.Damaged = st.Damaged
	}
	return out, nil
}
