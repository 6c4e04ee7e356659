package intake

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	accepted, rejected, deferred prometheus.Counter
	octets                       prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "mtad_intake_messages_total", Help: "Messages that came to their end at a door, by what the client was told.",
	}, []string{"result"})
	m := &metrics{
		accepted: vec.WithLabelValues("accepted"),
		rejected: vec.WithLabelValues("rejected"),
		deferred: vec.WithLabelValues("deferred"),
		octets: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mtad_intake_octets_total", Help: "Octets of accepted content.",
		}),
	}
	if reg != nil {
		reg.MustRegister(vec, m.octets)
	}
	return m
}

func (m *metrics) count(r *Result, size int64) {
	switch {
	case r.Committed:
		m.accepted.Inc()
		m.octets.Add(float64(size))
	case r.Reply.Transient():
		m.deferred.Inc()
	default:
		m.rejected.Inc()
	}
}
