package smtpd

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"mtad/internal/smtp"
)

// metrics are counters resolved beforehand: one is an atomic addition.
type metrics struct {
	open             prometheus.Gauge
	sessions         prometheus.Counter
	messages, octets prometheus.Counter
	replies          [smtp.NumVerbs][6]prometheus.Counter
	refusals         *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, listener string) (*metrics, error) {
	labels := prometheus.Labels{"listener": listener}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels})
	}
	replies := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "mtad_smtpd_replies_total", Help: "Replies sent, by command and first digit of the code.", ConstLabels: labels,
	}, []string{"command", "class"})
	u := registrar{reg: reg}
	replies = shared(&u, replies)
	m := &metrics{
		open: shared(&u, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mtad_smtpd_connections", Help: "Connections that are open.", ConstLabels: labels,
		})),
		sessions: shared(&u, counter("mtad_smtpd_sessions_total", "Connections accepted.")),
		messages: shared(&u, counter("mtad_smtpd_messages_total", "Messages accepted by SMTP.")),
		octets:   shared(&u, counter("mtad_smtpd_octets_total", "Octets of content accepted by SMTP.")),
		refusals: shared(&u, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mtad_smtpd_refusals_total", Help: "Sessions, recipients and messages refused or dropped, by reason.", ConstLabels: labels,
		}, []string{"reason"})),
	}
	for v := range smtp.NumVerbs {
		for class := 2; class <= 5; class++ {
			m.replies[v][class] = replies.WithLabelValues(v.String(), string(rune('0'+class))+"yz")
		}
	}
	return m, u.err
}

// registrar registers collectors and keeps the first error.
type registrar struct {
	reg prometheus.Registerer
	err error
}

// shared registers c, or returns the collector of a Server of the same name that
// was made before: a reload puts one in the place of the other.
func shared[C prometheus.Collector](u *registrar, c C) C {
	if u.reg == nil {
		return c
	}
	err := u.reg.Register(c)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if old, ok := already.ExistingCollector.(C); ok {
			return old
		}
	}
	u.err = errors.Join(u.err, err)
	return c
}

func (m *metrics) reply(v smtp.Verb, code int) {
	if c := code / 100; c >= 2 && c <= 5 {
		m.replies[v][c].Inc()
	}
}

func (m *metrics) message(octets int64) {
	m.messages.Inc()
	m.octets.Add(float64(octets))
}

func (m *metrics) refuse(reason string) { m.refusals.WithLabelValues(reason).Inc() }
