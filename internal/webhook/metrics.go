package webhook

import "github.com/prometheus/client_golang/prometheus"

// Metrics exports the state of every target: how far behind it is, what waits,
// and how its attempts ended.
func (s *Sender) Metrics() prometheus.Collector {
	c := &collector{s: s}
	for i, d := range [...]struct{ name, help string }{
		{"lag_seconds", "Age of the oldest event that the target has not taken; 0 when it has all."},
		{"pending", "Events read and not taken, at most the window."},
		{"attempts_total", "Attempts to send an event."},
		{"failures_total", "Attempts that failed."},
		{"dropped_total", "Events given up at the end of their lifetime."},
		{"gaps_total", "Times that events were lost to a target because it was too far behind."},
		{"stopped", "1 when the target answered 410 and gets nothing any more."},
	} {
		c.descs[i] = prometheus.NewDesc("mtad_webhook_"+d.name, d.help, []string{"webhook"}, nil)
	}
	return c
}

type collector struct {
	s     *Sender
	descs [7]*prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	for _, t := range c.s.Status() {
		stopped := 0.0
		if t.State == Stopped {
			stopped = 1
		}
		for i, v := range [...]float64{
			t.Lag.Seconds(), float64(t.Pending), float64(t.Attempts), float64(t.Failures), float64(t.Dropped), float64(t.Gaps), stopped,
		} {
			kind := prometheus.CounterValue
			if i < 2 || i == 6 {
				kind = prometheus.GaugeValue
			}
			out <- prometheus.MustNewConstMetric(c.descs[i], kind, v, t.Name)
		}
	}
}
