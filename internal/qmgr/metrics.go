package qmgr

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mtad/queue"
)

type metrics struct {
	results [queue.Removed]prometheus.Counter // by RecipientStatus
	latency prometheus.Histogram
	refused prometheus.Counter
}

var resultNames = [...]string{"transient", "delivered", "relayed", "failed"}

func newMetrics(m *Manager, r prometheus.Registerer) *metrics {
	byResult := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "mtad_deliveries_total", Help: "Results of delivery attempts, by recipient.",
	}, []string{"result"})
	me := &metrics{
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "mtad_delivery_latency_seconds", Help: "Time from acceptance to delivery, by recipient.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 300, 1800, 7200, 86400},
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mtad_results_refused_total", Help: "Results refused by the queue, the lease being lost.",
		}),
	}
	for s, name := range resultNames {
		me.results[s] = byResult.WithLabelValues(name)
	}
	if r == nil {
		return me
	}
	for _, c := range []prometheus.Collector{byResult, me.latency, me.refused,
		gauge("mtad_active_items", "Items claimed for delivery.", nil, func() float64 { return float64(m.Active()) }),
		gauge("mtad_destinations", "Destinations in trouble.", prometheus.Labels{"state": "dead"},
			func() float64 { dead, _ := m.tally(); return float64(dead) }),
		gauge("mtad_destinations", "Destinations in trouble.", prometheus.Labels{"state": "throttled"},
			func() float64 { _, throttled := m.tally(); return float64(throttled) }),
	} {
		_ = r.Register(c) // a second Manager on one registry is not seen
	}
	return me
}

func gauge(name, help string, l prometheus.Labels, f func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: l}, f)
}

func (m *Manager) tally() (dead, throttled int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.core.tally(time.Now())
}

func (me *metrics) result(s queue.RecipientStatus, age time.Duration) {
	me.results[s].Inc()
	if s == queue.Delivered || s == queue.Relayed {
		me.latency.Observe(age.Seconds())
	}
}
