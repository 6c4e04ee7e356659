package httpapi

import (
	"context"
	"errors"

	"mtad/api"
	"mtad/filterproto"
	"mtad/queue"
)

func parseID(s string) (queue.ID, error) {
	id, err := queue.ParseID(s)
	if err != nil {
		return "", failField(filterproto.CodeInvalidParameter, "id", "not a queue ID")
	}
	return id, nil
}

// ListMessages lists a page.
func (h handlers) ListMessages(ctx context.Context, req api.ListMessagesRequestObject) (api.ListMessagesResponseObject, error) {
	p := req.Params
	f, err := parseExpr(p.Filter)
	if err != nil {
		return nil, err
	}
	if p.Limit < 0 || p.Limit > queue.MaxPage {
		return nil, failField(filterproto.CodeInvalidParameter, "limit", "want 1 to 1000")
	}
	if len(p.Cursor) > maxCursor {
		return nil, failField(filterproto.CodeInvalidParameter, "cursor", "not a cursor")
	}
	page, err := h.queue.List(ctx, f, queue.Cursor(p.Cursor), p.Limit)
	if errors.Is(err, queue.ErrInvalid) && p.Cursor != "" {
		return nil, failField(filterproto.CodeInvalidParameter, "cursor", "not a cursor of this listing")
	}
	if err != nil {
		return nil, err
	}
	return api.ListMessages200JSONResponse{
		Messages: messages(page.Items), Next: string(page.Next), AsOf: page.AsOf, Partial: page.Partial,
	}, nil
}

// GetMessage reads one message.
func (h handlers) GetMessage(ctx context.Context, req api.GetMessageRequestObject) (api.GetMessageResponseObject, error) {
	it, err := h.item(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	return api.GetMessage200JSONResponse(message(it)), nil
}

func (h handlers) item(ctx context.Context, s string) (queue.Item, error) {
	id, err := parseID(s)
	if err != nil {
		return queue.Item{}, err
	}
	it, err := h.queue.Get(ctx, id)
	if err != nil {
		return queue.Item{}, about(id, err)
	}
	return it, nil
}

// ListGenerations lists the versions of the content.
func (h handlers) ListGenerations(ctx context.Context, req api.ListGenerationsRequestObject) (api.ListGenerationsResponseObject, error) {
	it, err := h.item(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	return api.ListGenerations200JSONResponse{
		ID: string(it.ID), Generations: generations(it.Generations), Verdicts: verdicts(it.Verdicts),
	}, nil
}

// TraceMessage reads every part of a message. A part's ID gives the whole message.
func (h handlers) TraceMessage(ctx context.Context, req api.TraceMessageRequestObject) (api.TraceMessageResponseObject, error) {
	id, err := parseID(req.ID)
	if err != nil {
		return nil, err
	}
	items, err := h.queue.History(ctx, id.Message())
	if err != nil {
		return nil, about(id, err)
	}
	return api.TraceMessage200JSONResponse{ID: string(id.Message()), Items: messages(items)}, nil
}

// CountMessages counts.
func (h handlers) CountMessages(ctx context.Context, req api.CountMessagesRequestObject) (api.CountMessagesResponseObject, error) {
	f, err := parseExpr(req.Params.Filter)
	if err != nil {
		return nil, err
	}
	t, err := h.queue.Count(ctx, f)
	if err != nil {
		return nil, err
	}
	return api.CountMessages200JSONResponse{Messages: t.Messages, Recipients: t.Recipients, Bytes: t.Bytes, Partial: t.Partial}, nil
}
