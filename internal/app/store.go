package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"mtad/internal/config"
	"mtad/internal/telemetry"
	"mtad/queue/engine"
	"mtad/queue/locallog"
)

// openStore opens the spool and the queue in it.
func (a *App) openStore(ctx context.Context) error {
	sp, err := openSpool(a.cfg.Spool)
	if sp != nil {
		a.down.push("spool", func(context.Context) error { return sp.close() })
	}
	if err != nil {
		return err
	}
	a.spool = sp
	q, err := a.openQueue(ctx)
	if err != nil {
		return err
	}
	a.queue = q
	a.down.push("store", func(context.Context) error { return q.Close() })
	for _, s := range sp.unsafe {
		a.log.Warn("a promise is void by configuration", "setting", "spool."+s)
	}
	return nil
}

func (a *App) openQueue(ctx context.Context) (*engine.Engine, error) {
	c := a.cfg
	log, err := locallog.Open(filepath.Join(c.Spool.Directory, "queue"), locallog.Options{
		Logger: a.log.Logger, CacheSize: int64(c.Spool.Cache), NoSync: c.Spool.AllowUnsynced,
		Ballast: orNone(int64(c.Spool.Ballast)), FreeFloor: orNone(int64(c.Spool.FreeFloor)),
	})
	if err != nil {
		return nil, fmt.Errorf("app: %w", err)
	}
	q, err := engine.Open(ctx, log, engineOptions(c, a.o.Now, telemetry.NewStore(a.reg), a))
	if err != nil {
		return nil, errors.Join(explain(err), log.Close())
	}
	return q, nil
}

func engineOptions(c *config.Config, now func() time.Time, m *telemetry.Store, a *App) engine.Options {
	return engine.Options{
		Logger: a.log.Logger, Now: now,
		MaxClaims: c.Queue.MaxClaims, ActiveLimit: c.Queue.Active, History: orNone(c.Queue.History),
		MaxUnfiltered: int64(c.Queue.UnfilteredCount), MaxUnfilteredBytes: int64(c.Queue.UnfilteredBytes),
		MaxUnfilteredAge: c.Queue.UnfilteredAge,
		Observe: func(b engine.BatchStats) {
			if b.Synced {
				m.Synced(b.Ops, b.SyncDuration)
			}
		},
		Unsafe: engine.Unsafe{NoSync: c.Spool.AllowUnsynced, ClockBehind: c.Spool.AllowOldClock},
	}
}

// explain says what to do about a store that refuses to be opened.
func explain(err error) error {
	if _, ok := errors.AsType[*engine.ClockError](err); ok {
		return fmt.Errorf("app: %w; set the clock, or say spool.allow_old_clock: true", err)
	}
	if _, ok := errors.AsType[*engine.UnsafeLogError](err); ok {
		return fmt.Errorf("app: %w; say spool.allow_unsynced: true if losing mail is meant", err)
	}
	return fmt.Errorf("app: %w", err)
}

// orNone turns the configuration's 0 for "none" into the packages' negative.
func orNone[T int | int64 | time.Duration](v T) T {
	if v == 0 {
		return -1
	}
	return v
}
