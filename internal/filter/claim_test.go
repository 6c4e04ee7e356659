package filter

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"mtad/queue"
)

func TestClaimIsCutToTheFiltersBounds(t *testing.T) {
	d := Definition{MaxBatch: 10, MinLease: 2 * time.Second, MaxLease: time.Minute, DefaultLease: 30 * time.Second, MaxWait: 20 * time.Second}.withDefaults()
	for _, c := range []struct {
		name string
		r    ClaimRequest
		want queue.ClaimSpec
	}{
		{"defaults", ClaimRequest{}, queue.ClaimSpec{Max: 10, Lease: 30 * time.Second}},
		{"at the bounds", ClaimRequest{Max: 10, Lease: time.Minute, Wait: 20 * time.Second, MaxBytes: 5}, queue.ClaimSpec{Max: 10, Lease: time.Minute, Wait: 20 * time.Second, MaxBytes: 5}},
		{"one past", ClaimRequest{Max: 11, Lease: time.Minute + 1, Wait: 20*time.Second + 1}, queue.ClaimSpec{Max: 10, Lease: time.Minute, Wait: 20 * time.Second}},
		{"too short", ClaimRequest{Max: 1, Lease: 1}, queue.ClaimSpec{Max: 1, Lease: 2 * time.Second}},
		{"nonsense", ClaimRequest{Max: -1, Lease: -1, Wait: -1, MaxBytes: -1}, queue.ClaimSpec{Max: 10, Lease: 30 * time.Second}},
		{"holder", ClaimRequest{Holder: strings.Repeat("h", 1000)}, queue.ClaimSpec{Max: 10, Lease: 30 * time.Second, Holder: strings.Repeat("h", maxHolder)}},
	} {
		got := d.spec(c.r)
		if got.Max != c.want.Max || got.Lease != c.want.Lease || got.Wait != c.want.Wait || got.MaxBytes != c.want.MaxBytes || got.Holder != c.want.Holder {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
	if d := (Definition{MaxLease: 1000 * time.Hour, MaxBatch: 1 << 20, MaxWait: time.Hour}).withDefaults(); d.MaxLease != queue.MaxLease || d.MaxBatch != queue.MaxClaim || d.MaxWait != queue.MaxWait {
		t.Errorf("%+v", d)
	}
}

func TestOnlyAConfiguredFilterClaims(t *testing.T) {
	r := newRig(t, oneFilter(Definition{}))
	ctx := context.Background()
	if _, err := r.e.Claim(ctx, ClaimRequest{Filter: "nobody"}); !errors.Is(err, ErrNoFilter) {
		t.Error(err)
	}
	if _, err := r.e.Judge(ctx, "nobody", "x", "", accept()); !errors.Is(err, ErrNoFilter) {
		t.Error(err)
	}
	if errs := r.e.Extend(ctx, "nobody", []queue.Token{"x"}, 0); len(errs) != 1 || !errors.Is(errs[0], ErrNoFilter) {
		t.Error(errs)
	}
}

func TestAnotherFiltersTokenIsGoodForNothing(t *testing.T) {
	r := newRig(t, twoFilters())
	r.commit(plain)
	token := r.claim("f").Token
	ctx := context.Background()
	for name, err := range map[string]error{
		"extend":  r.e.Extend(ctx, "g", []queue.Token{token}, time.Minute)[0],
		"release": r.e.Release(ctx, "g", token, 0, false),
		"open":    second(r.e.Open(ctx, "g", token, -1, false, 0)),
		"upload":  second(r.e.Upload(ctx, "g", token)),
		"judge":   second(r.e.Judge(ctx, "g", token, "", accept())),
	} {
		if !errors.Is(err, queue.ErrLeaseLost) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.judge("f", token, accept())
}

func second[T any](_ T, err error) error { return err }

func TestExtendKeepsTheLeaseAndReleaseGivesItBack(t *testing.T) {
	r := newRig(t, oneFilter(Definition{}))
	r.commit(plain)
	token := r.claim("f").Token
	r.clock.Advance(50 * time.Second)
	errs := r.e.Extend(context.Background(), "f", []queue.Token{token, "forged"}, time.Minute)
	if errs[0] != nil || !errors.Is(errs[1], queue.ErrLeaseLost) {
		t.Fatal(errs)
	}
	r.clock.Advance(50 * time.Second)
	r.e.sweep(context.Background())
	if err := r.e.Release(context.Background(), "f", token, time.Minute, true); err != nil {
		t.Fatal(err)
	}
	if len(r.claims("f")) != 0 {
		t.Error("offered before its rest was over")
	}
	r.clock.Advance(time.Minute)
	if c := r.claim("f"); c.Item.LostClaims != 1 {
		t.Errorf("%d claims lost, want 1", c.Item.LostClaims)
	}
}

func TestMemoryOfLeasesEndsWithThem(t *testing.T) {
	r := newRig(t, oneFilter(Definition{}))
	for range 50 {
		r.commit(plain)
	}
	for i, c := range r.claims("f") {
		switch i % 3 {
		case 0:
			r.judge("f", c.Token, accept())
		case 1:
			if err := r.e.Release(context.Background(), "f", c.Token, time.Hour, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(r.e.leases.m); n != 16 {
		t.Errorf("%d leases remembered, want 16", n)
	}
	r.clock.Advance(time.Minute)
	r.e.sweep(context.Background())
	if n := len(r.e.leases.m); n != 0 {
		t.Errorf("%d leases remembered after their end", n)
	}
}
