package app

import (
	"strings"
	"time"

	"mtad/internal/config"
	"mtad/internal/filter/milterfilter"
	"mtad/internal/milter"
)

// milterTime bounds the scan of a milter that the configuration gives no time;
// its own timeouts are for single answers.
const milterTime = 10 * time.Minute

func scanTime(f config.Filter) time.Duration {
	if f.Kind == config.KindMilter && f.Timeout == 0 {
		return milterTime
	}
	return f.Timeout
}

func (a *App) newMilter(c *config.Config, f config.Filter) (*milterfilter.Filter, error) {
	network, address := "tcp", f.Address
	if path, ok := strings.CutPrefix(f.Address, "unix:"); ok {
		network, address = "unix", path
	}
	return milterfilter.New(milterfilter.Options{
		Hostname: c.Hostname, Version: "mtad", MaxKept: f.Concurrency, Live: &a.filter.live, QuitNC: f.Milter.QuitNC,
		Milter: milter.Options{
			Network: network, Address: address,
			Connect: f.Milter.ConnectTimeout, Command: f.Milter.CommandTimeout, Content: f.Milter.ContentTimeout,
		},
	})
}
