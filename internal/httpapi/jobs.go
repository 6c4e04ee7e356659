package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"mtad/api"
	"mtad/filterproto"
	"mtad/queue"
)

// CreateJob starts a bulk change, or says what it would change.
func (h handlers) CreateJob(ctx context.Context, req api.CreateJobRequestObject) (api.CreateJobResponseObject, error) {
	b := *req.Body
	if b.Filter == nil { // forgotten, it must not stand for everything
		return nil, failField(filterproto.CodeInvalidRequest, "filter", "is required")
	}
	f, err := parseExpr(*b.Filter)
	if err != nil {
		return nil, err
	}
	if err := checkAction(b.Action, &b.Reason, b.Until, h.now()); err != nil {
		return nil, err
	}
	if b.Rescan && b.Action != api.ActionKindRequeue {
		return nil, failField(filterproto.CodeInvalidRequest, "rescan", "only with requeue")
	}
	redirect, err := h.redirection(b.Action, b.To)
	if err != nil {
		return nil, err
	}
	if b.ExpectedCount != nil && *b.ExpectedCount < 0 {
		return nil, failField(filterproto.CodeInvalidRequest, "expected_count", "want 0 or more")
	}
	by := callerOf(ctx).by()
	var matched int64
	if b.DryRun || b.ExpectedCount != nil {
		t, err := h.queue.Count(ctx, f)
		if err != nil {
			return nil, err
		}
		matched = t.Messages
		if want := b.ExpectedCount; want != nil && *want != matched {
			return nil, failField(filterproto.CodeCountMismatch, "expected_count", fmt.Sprintf("%d messages match", matched))
		}
	}
	if b.DryRun {
		return api.CreateJob200JSONResponse{Action: b.Action, By: by, DryRun: true, Matched: matched}, nil
	}
	a := queue.Action{Kind: queue.ActionKind(b.Action), By: by, Reason: b.Reason, Until: b.Until, Force: b.Force, Redirect: redirect}
	if b.Rescan {
		a.Stages = h.filters.FirstStages()
	}
	id, err := h.queue.Bulk(ctx, f, a)
	if err != nil {
		return nil, err
	}
	h.log.LogAttrs(ctx, slog.LevelInfo, "bulk change begun by an operator", slog.String("job", string(id)), slog.String("filter", f.String()),
		slog.String("action", string(b.Action)), slog.String("by", by), slog.String("reason", b.Reason))
	return h.started(ctx, id, api.Job{ID: string(id), Action: b.Action, By: by, Started: h.now(), Matched: matched})
}

// started reports on a job that was just made; one that cannot be read yet is
// reported as it was asked for.
func (h handlers) started(ctx context.Context, id queue.JobID, asked api.Job) (api.CreateJobResponseObject, error) {
	st, err := h.queue.Job(ctx, id)
	if err != nil {
		return api.CreateJob202JSONResponse(asked), nil
	}
	return api.CreateJob202JSONResponse(job(st)), nil
}

// GetJob reports on a job.
func (h handlers) GetJob(ctx context.Context, req api.GetJobRequestObject) (api.GetJobResponseObject, error) {
	if len(req.Job) > maxJobID {
		return nil, fail(filterproto.CodeNoJob, "no such job")
	}
	st, err := h.queue.Job(ctx, queue.JobID(req.Job))
	if errors.Is(err, queue.ErrNotFound) || errors.Is(err, queue.ErrExpired) || errors.Is(err, queue.ErrInvalid) {
		return nil, fail(filterproto.CodeNoJob, "no such job")
	}
	if err != nil {
		return nil, err
	}
	return api.GetJob200JSONResponse(job(st)), nil
}

func job(st queue.JobStatus) api.Job {
	return api.Job{
		ID: string(st.ID), Action: api.ActionKind(st.Action.Kind), By: st.Action.By,
		Started: st.Started, Finished: st.Finished,
		Matched: st.Matched, Changed: st.Changed, Failed: st.Failed, LastFail: st.LastFail,
	}
}
