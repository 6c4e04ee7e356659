package filter

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of one Engine. Labels are names of the configuration and
// constants of this package, so their number is bounded.
type metrics struct {
	depth, leased, oldest, breaker *prometheus.GaugeVec
	orphans, limit                 *prometheus.GaugeVec
	claims, verdicts, refused      *prometheus.CounterVec
	failures                       *prometheus.CounterVec
	latency                        *prometheus.HistogramVec
}

// newMetrics registers the collectors; one that an earlier Engine registered is
// used again. r may be nil.
func newMetrics(r prometheus.Registerer, filters []string) (*metrics, error) {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "mtad_filter_" + name, Help: help}, labels)
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "mtad_filter_" + name, Help: help}, labels)
	}
	m := &metrics{
		depth:    gauge("depth", "Messages that wait for the filter.", "filter"),
		leased:   gauge("leased", "Messages that the filter works on.", "filter"),
		oldest:   gauge("oldest_seconds", "Age of the oldest message that waits for the filter.", "filter"),
		breaker:  gauge("breaker_state", "Circuit breaker: 0 closed, 1 half-open, 2 open.", "filter"),
		limit:    gauge("concurrency_limit", "Scans that may run at a time now; filters that mtad drives.", "filter"),
		orphans:  gauge("orphaned", "Messages whose filter is not configured.", "stage"),
		claims:   counter("claims_total", "Messages handed to the filter.", "filter"),
		verdicts: counter("verdicts_total", "Verdicts carried out.", "filter", "disposition"),
		refused:  counter("verdicts_refused_total", "Verdicts refused because they break a bound or rule.", "filter"),
		failures: counter("failures_total", "Failures of the filter by class and what was done.", "filter", "class", "action"),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mtad_filter_verdict_seconds", Help: "Time from claim to verdict.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 10),
		}, []string{"filter"}),
	}
	if r == nil {
		return m, nil
	}
	var err error
	for _, v := range []**prometheus.GaugeVec{&m.depth, &m.leased, &m.oldest, &m.breaker, &m.orphans, &m.limit} {
		err = errors.Join(err, register(r, v))
	}
	for _, v := range []**prometheus.CounterVec{&m.claims, &m.verdicts, &m.refused, &m.failures} {
		err = errors.Join(err, register(r, v))
	}
	err = errors.Join(err, register(r, &m.latency))
	for _, f := range filters {
		m.depth.WithLabelValues(f)
		m.claims.WithLabelValues(f)
		m.breaker.WithLabelValues(f)
	}
	return m, err
}

// register puts *c into r, or the collector that is there already into *c.
func register[C prometheus.Collector](r prometheus.Registerer, c *C) error {
	err := r.Register(*c)
	var have prometheus.AlreadyRegisteredError
	if errors.As(err, &have) {
		if old, ok := have.ExistingCollector.(C); ok {
			*c = old
			return nil
		}
	}
	return err
}
