package app

import (
	"fmt"
	"os"
	"strings"

	"mtad/internal/config"
	"mtad/internal/filter"
	"mtad/internal/filter/clamdfilter"
	"mtad/internal/filter/rspamdfilter"
	"mtad/internal/filter/scanner"
	"mtad/internal/filter/spamdfilter"
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
	case config.KindSpamd:
		return spamdfilter.New(spamdfilter.Options{
			Address: f.Address, Method: f.Spamd.Method, User: f.Spamd.User, Spam: scanner.Policy(f.Spamd.Spam),
			QuarantineAt: f.Spamd.QuarantineAt, RejectAt: f.Spamd.RejectAt, DiscardAt: f.Spamd.DiscardAt, Fields: f.Spamd.Fields,
		})
	case config.KindRspamd:
		return newRspamd(c, f)
	case config.KindExec:
		return newExec(f.Exec, a.log.Logger)
	case config.KindMilter:
		return a.newMilter(c, f)
	case config.KindWebhook:
		return newWebhook(f)
	case config.KindMTAHooks:
		return newMTAHooks(c, f)
	case config.KindDMARC:
		return a.newDMARC(c, f)
	case config.KindDKIM:
		return a.newSigner(f)
	}
	return nil, nil
}

// newRspamd makes the Kind rspamd; its password is read from a file, once.
func newRspamd(c *config.Config, f config.Filter) (filter.Kind, error) {
	var password string
	if path := f.Rspamd.PasswordFile; path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("password_file: %w", err)
		}
		password = strings.TrimSpace(string(b))
	}
	return rspamdfilter.New(rspamdfilter.Options{
		Address: f.Address, Reject: scanner.Policy(f.Rspamd.Reject), SpamField: f.Rspamd.SpamField, Password: password,
		SettingsID: f.Rspamd.SettingsID, MTATag: f.Rspamd.MTATag, Hostname: c.Hostname, Concurrency: f.Concurrency,
	})
}
