package httpapi

import (
	"context"
	"errors"
	"log/slog"

	"mtad/api"
	"mtad/filterproto"
	"mtad/internal/events"
	"mtad/internal/webhook"
)

// Webhooks is what the API needs of a sender of events; *webhook.Sender is one.
type Webhooks interface {
	Status() []webhook.Status
	Replay(ctx context.Context, name string, at events.Position) error
	Test(ctx context.Context, name string) (webhook.Attempt, error)
}

type noWebhooks struct{}

func (noWebhooks) Status() []webhook.Status { return nil }

func (noWebhooks) Replay(context.Context, string, events.Position) error { return webhook.ErrNoTarget }

func (noWebhooks) Test(context.Context, string) (webhook.Attempt, error) {
	return webhook.Attempt{}, webhook.ErrNoTarget
}

// ListWebhooks shows the targets.
func (h handlers) ListWebhooks(context.Context, api.ListWebhooksRequestObject) (api.ListWebhooksResponseObject, error) {
	out := api.ListWebhooks200JSONResponse{Webhooks: []api.Webhook{}}
	for _, s := range h.webhooks.Status() {
		w := api.Webhook{
			Name: s.Name, URL: s.URL, State: s.State, Reason: s.Reason, Types: []api.EventType{},
			After: s.Position.After, Since: s.Position.Since,
			Pending: s.Pending, Lag: s.Lag.Seconds(), Attempts: s.Attempts, Delivered: s.Delivered, Failures: s.Failures,
			Dropped: s.Dropped, Gaps: s.Gaps, LastError: s.LastError, LastErrorAt: s.LastErrorAt, LastSuccess: s.LastSuccess,
		}
		for _, t := range s.Types {
			w.Types = append(w.Types, api.EventType(t))
		}
		out.Webhooks = append(out.Webhooks, w)
	}
	return out, nil
}

// ReplayWebhook sends events again.
func (h handlers) ReplayWebhook(ctx context.Context, req api.ReplayWebhookRequestObject) (api.ReplayWebhookResponseObject, error) {
	b := *req.Body
	at := events.Position{After: b.After, Since: b.Since}
	switch {
	case (b.After == "") == b.Since.IsZero():
		return nil, failField(filterproto.CodeInvalidRequest, "after", "want after or since")
	case b.After != "":
		if _, err := events.CursorOf(b.After); err != nil {
			return nil, failField(filterproto.CodeInvalidRequest, "after", "not the ID of an event")
		}
	}
	if err := h.webhooks.Replay(ctx, req.Name, at); err != nil {
		return nil, webhookError(err)
	}
	h.log.LogAttrs(ctx, slog.LevelInfo, "webhook is sent events again", slog.String("webhook", req.Name),
		slog.String("after", b.After), slog.Time("since", b.Since), slog.String("by", callerOf(ctx).by()))
	return api.ReplayWebhook204Response{}, nil
}

// TestWebhook sends one event of type test.
func (h handlers) TestWebhook(ctx context.Context, req api.TestWebhookRequestObject) (api.TestWebhookResponseObject, error) {
	a, err := h.webhooks.Test(ctx, req.Name)
	if err != nil {
		return nil, webhookError(err)
	}
	return api.TestWebhook200JSONResponse{ID: a.ID, Status: a.Status, Error: a.Error, Took: a.Took.Seconds()}, nil
}

func webhookError(err error) error {
	if errors.Is(err, webhook.ErrNoTarget) {
		return fail(filterproto.CodeNoWebhook, "no such webhook")
	}
	return err
}
