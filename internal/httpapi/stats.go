package httpapi

import (
	"context"
	"slices"
	"strings"
	"time"

	"mtad/api"
	"mtad/filterproto"
	"mtad/queue"
)

// GetStats counts the queue.
func (h handlers) GetStats(ctx context.Context, _ api.GetStatsRequestObject) (api.GetStatsResponseObject, error) {
	st, err := h.queue.Stats(ctx)
	if err != nil {
		return nil, err
	}
	out := api.GetStats200JSONResponse{
		States: []api.StateStats{}, Stages: []api.StageStats{},
		Held: st.Held, Staged: st.Staged, Damaged: st.Damaged, History: st.History,
	}
	for _, s := range st.States {
		out.States = append(out.States, api.StateStats{
			State: s.State.String(), Messages: s.Messages, Bytes: s.Bytes, Leased: s.Leased, Oldest: s.Oldest,
		})
	}
	for _, s := range st.Stages {
		out.Stages = append(out.Stages, api.StageStats{Stage: s.Stage, Messages: s.Messages, Leased: s.Leased, Oldest: s.Oldest})
	}
	return out, nil
}

// GetShape counts by next hop and age.
func (h handlers) GetShape(ctx context.Context, req api.GetShapeRequestObject) (api.GetShapeResponseObject, error) {
	spec, err := shapeSpec(req.Params)
	if err != nil {
		return nil, err
	}
	sh, err := h.queue.Shape(ctx, spec)
	if err != nil {
		return nil, err
	}
	out := api.GetShape200JSONResponse{AsOf: sh.AsOf, Ages: []int64{}, Rows: []api.ShapeRow{}}
	for _, a := range sh.Ages {
		out.Ages = append(out.Ages, int64(a/time.Second))
	}
	for _, r := range sh.Rows {
		out.Rows = append(out.Rows, api.ShapeRow{
			State: r.State.String(), NextHop: r.NextHop, Total: r.Total, Counts: append([]int64{}, r.Counts...),
		})
	}
	return out, nil
}

func shapeSpec(p api.GetShapeParams) (queue.ShapeSpec, error) {
	var spec queue.ShapeSpec
	if len(p.State) > len(queue.States) {
		return spec, failField(filterproto.CodeInvalidParameter, "state", "more states than there are")
	}
	for _, name := range p.State {
		st, err := queue.ParseState(string(name))
		if err != nil {
			return spec, failField(filterproto.CodeInvalidParameter, "state", "want unfiltered, incoming, active or deferred")
		}
		spec.States = append(spec.States, st)
	}
	if len(p.Age) > maxAges {
		return spec, failField(filterproto.CodeInvalidParameter, "age", "too many")
	}
	last := int64(0)
	for _, a := range p.Age {
		if a <= last || a > maxAge {
			return spec, failField(filterproto.CodeInvalidParameter, "age", "want rising numbers of seconds")
		}
		last = a
		spec.Ages = append(spec.Ages, time.Duration(a)*time.Second)
	}
	return spec, nil
}

// ListFilters joins what the engine says of its filters with what the queue
// counts at each stage. A stage no filter serves is listed too: mail waits there.
func (h handlers) ListFilters(ctx context.Context, _ api.ListFiltersRequestObject) (api.ListFiltersResponseObject, error) {
	st, err := h.queue.Stats(ctx)
	if err != nil {
		return nil, err
	}
	var list []api.FilterState
	if h.states != nil {
		list = h.states(ctx)
	}
	for _, s := range st.Stages {
		i := slices.IndexFunc(list, func(f api.FilterState) bool { return f.Name == s.Stage })
		if i < 0 {
			list = append(list, api.FilterState{Name: s.Stage})
			i = len(list) - 1
		}
		list[i].Waiting, list[i].Leased, list[i].Oldest = s.Messages, s.Leased, s.Oldest
	}
	slices.SortFunc(list, func(a, b api.FilterState) int { return strings.Compare(a.Name, b.Name) })
	if list == nil {
		list = []api.FilterState{}
	}
	return api.ListFilters200JSONResponse{Filters: list}, nil
}
