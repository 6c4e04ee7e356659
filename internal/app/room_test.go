package app

import "testing"

func TestDescriptorsAreKeptForTheStore(t *testing.T) {
	for _, c := range []struct {
		limit uint64
		want  int
	}{{64, 32}, {1024, 512}, {2048, 1024}, {65536, 64512}, {1 << 63, 1<<30 - 1024}, {^uint64(0), 1<<30 - 1024}} {
		if got := sessionsFor(c.limit); got != c.want {
			t.Errorf("limit %d: %d sessions, want %d", c.limit, got, c.want)
		}
	}
}
