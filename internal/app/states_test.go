package app_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"mtad/api"
	"mtad/filterproto"
)

func TestFiltersShowVerdictsFailuresAndTheLastError(t *testing.T) {
	next := newSink(t)
	text := strings.Replace(filterConfig(next.addr, "after"), `"filter:words"`, `"filter:words","queue:read"`, 1)
	a, _ := start(t, read(t, t.TempDir(), text))
	s := newScanner(t, a)
	c, err := api.NewClientWithResponses("http://"+a.Addr("api").String(), api.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+secret)
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	state := func() api.FilterState {
		res, err := c.ListFiltersWithResponse(t.Context())
		if err != nil || res.JSON200 == nil || len(res.JSON200.Filters) != 1 {
			t.Fatalf("%v %+v", err, res)
		}
		return res.JSON200.Filters[0]
	}
	client := dial(t, a.Addr("smtp").String())
	client.send(250, "a@example.org", "b@example.net", message)
	s.judge(s.claim().Token, filterproto.Verdict{Disposition: filterproto.Accept})
	next.wait(t)
	got := state()
	if got.Verdicts["accept"] != 1 || got.Kind != "pull" || got.Timing != "after" || got.LastClaimAt.IsZero() {
		t.Errorf("after a verdict: %+v", got)
	}
	client.send(250, "a@example.org", "b@example.net", message)
	if _, err := s.Release(t.Context(), []string{s.claim().Token}, 0, true); err != nil {
		t.Fatal(err)
	}
	if got = state(); got.Failures["timeout"] != 1 || got.LastError == "" || got.LastErrorAt.IsZero() {
		t.Errorf("after a lost lease: %+v", got)
	}
}
