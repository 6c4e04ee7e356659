package tokens

import (
	"context"
	"log/slog"
	"time"
)

// grain is how true LastUsed is.
const grain = time.Minute

// Used remembers that a token was used.
func (s *Store) Used(name string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.byName[name]; t != nil && now.Sub(t.LastUsed) >= grain {
		t.LastUsed, s.dirty = now, true
	}
}

// Spend takes n recipients from what a token has for the UTC day of now, all or
// none; wait is how long it takes until the next day. A negative n gives back. A
// token that is gone, or has no bound, may always.
func (s *Store) Spend(name string, n int, now time.Time) (wait time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.byName[name]
	if t == nil || t.Submit.PerDay <= 0 {
		return 0, true
	}
	now = now.UTC()
	if date := now.Format(time.DateOnly); t.Day.Date != date {
		if n < 0 {
			return 0, true // it was taken yesterday
		}
		t.Day = Day{Date: date}
	}
	if n > 0 && t.Day.Recipients+n > t.Submit.PerDay {
		return now.Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(now), false
	}
	t.Day.Recipients, s.dirty = max(0, t.Day.Recipients+n), true
	return 0, true
}

// Run writes what was used until ctx ends, and then once more.
func (s *Store) Run(ctx context.Context, log *slog.Logger) error {
	tick := time.NewTicker(grain)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return s.flush()
		case <-tick.C:
			if err := s.flush(); err != nil {
				log.WarnContext(ctx, "use of tokens not written", "error", err)
			}
		}
	}
}

func (s *Store) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.dirty {
		return nil
	}
	return s.write()
}
