package app

import (
	"mtad/internal/config"
	"mtad/internal/filter"
	"mtad/internal/filter/clamdfilter"
	"mtad/internal/filter/scanner"
)

// newKind makes the Kind of a filter; nil is the pull kind.
func (a *App) newKind(c *config.Config, f config.Filter) (filter.Kind, error) {
	switch f.Kind {
	case config.KindClamd:
		return clamdfilter.New(clamdfilter.Options{
			Address: f.Address, Descriptor: f.Clamd.Transfer == config.TransferDescriptor,
			Virus: scanner.Policy(f.Clamd.Virus), ScannedField: f.Clamd.ScannedField,
			StatusField: f.Clamd.StatusField, Hostname: c.Hostname,
		})
	case config.KindSMTPFilter:
		return a.newSMTPFilter(c, f)
	case config.KindExec:
		return newExec(f.Exec, a.log.Logger)
	case config.KindMilter:
		return newMilter(c, f)
	}
	return nil, nil
}
