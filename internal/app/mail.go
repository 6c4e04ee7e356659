package app

import (
	"context"
	"fmt"

	"mtad/internal/intake"
)

// wireMail makes what stands between the doors and the queue.
func (a *App) wireMail(context.Context) error {
	table, err := routes(a.cfg)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	a.table.Store(table)
	a.dns = a.lookup()
	signer, err := a.reportSigner(a.cfg)
	if err != nil {
		return err
	}
	a.filter.reports.Store(signer)
	engine, err := a.newFilters(a.cfg)
	if err != nil {
		return err
	}
	gates, err := a.newGates(a.cfg)
	if err != nil {
		return err
	}
	a.filter.now.Store(engine)
	a.filter.gates.Store(&gates)
	a.intake = intake.New(intake.Options{
		Queue: a.queue, Hostname: a.cfg.Hostname, Route: a.resolve, Plan: a.plan,
		MaxReceived: a.cfg.Received, Logger: a.log.Logger, Registry: a.reg,
	})
	return nil
}
