package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"mtad/internal/config"

	"golang.org/x/sys/unix"
)

// ErrForced: a second signal ended the drain.
var ErrForced = errors.New("app: ended by a second signal before everything was through")

// Run is the life of a daemon: New, Start, until SIGTERM, SIGINT or the end of
// ctx, then Stop within shutdown.grace; a second signal ends that at once.
// SIGHUP reads the configuration file again. The service manager is told.
func Run(ctx context.Context, cfg *config.Config, o Options) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)
	var err error
	if o.Sockets == nil {
		if o.Sockets, err = Sockets(); err != nil {
			return fmt.Errorf("app: sockets of the service manager: %w", err)
		}
	}
	a, err := New(ctx, cfg, o)
	if err != nil {
		return err
	}
	a.Start()
	dog := startWorker(func(ctx context.Context) error { return watchdog(ctx, a.alive) })
	notifyReady("accepting mail")
	err = a.serve(ctx, signals)
	notifyStopping()
	dog.cancel()
	return errors.Join(err, a.drain(signals))
}

// serve waits for the end, and reloads on the way.
func (a *App) serve(ctx context.Context, signals <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-a.Failed():
			return err
		case s := <-signals:
			if s != syscall.SIGHUP {
				a.log.Info("stopping", "signal", s.String())
				return nil
			}
			notifyReloading(monotonic())
			a.report(a.reloadFile(ctx))
			notifyReady("accepting mail")
		}
	}
}

// reloadFile reads the file that the configuration came from again.
func (a *App) reloadFile(ctx context.Context) ([]string, error) {
	next, err := readAgain(a.Current().File)
	if err != nil {
		a.life.Reloaded(false)
		return nil, err
	}
	return a.Reload(ctx, next)
}

func readAgain(file string) (*config.Config, error) {
	if file == "" {
		return config.Default(), nil
	}
	next, err := config.Load(file)
	if err != nil {
		return nil, err
	}
	return next, Check(next)
}

// drain stops within the grace, or at the next signal.
func (a *App) drain(signals <-chan os.Signal) error {
	ctx, cancel := context.WithTimeout(context.Background(), a.Current().Shutdown.Grace)
	defer cancel()
	forced := make(chan struct{})
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case s := <-signals:
				if s != syscall.SIGHUP {
					close(forced)
					cancel()
					return
				}
			case <-done:
				return
			}
		}
	}()
	err := a.Stop(ctx)
	select {
	case <-forced:
		return errors.Join(ErrForced, err)
	default:
		return err
	}
}

// alive says whether the store answers: what the watchdog is told.
func (a *App) alive(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	done := make(chan struct{})
	go func() {
		a.queue.Health(ctx)
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// monotonic is CLOCK_MONOTONIC.
func monotonic() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
