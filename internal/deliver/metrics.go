package deliver

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are shared by all transports on one registry.
type metrics struct {
	results  *prometheus.CounterVec   // transport, result
	seconds  *prometheus.HistogramVec // transport
	open     prometheus.Gauge
	connects *prometheus.CounterVec // result
	reused   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	return &metrics{
		results: register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mtad_delivery_results_total",
			Help: "Recipients of delivery attempts, by transport and result.",
		}, []string{"transport", "result"})),
		seconds: register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "mtad_delivery_attempt_seconds",
			Help:    "How long delivery attempts took, by transport.",
			Buckets: []float64{.001, .005, .02, .1, .5, 2, 10, 60, 300},
		}, []string{"transport"})),
		open: register(reg, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mtad_delivery_connections",
			Help: "Connections to next hops that are open, idle ones too.",
		})),
		connects: register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mtad_delivery_connects_total",
			Help: "Connections to next hops tried, by result: ok or failed.",
		}, []string{"result"})),
		reused: register(reg, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mtad_delivery_connections_reused_total",
			Help: "Transactions that used a connection again.",
		})),
	}
}

// register uses the collector that is there already, if one is.
func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	if reg == nil {
		return c
	}
	var there prometheus.AlreadyRegisteredError
	if err := reg.Register(c); errors.As(err, &there) {
		if old, ok := there.ExistingCollector.(C); ok {
			return old
		}
	}
	return c
}
