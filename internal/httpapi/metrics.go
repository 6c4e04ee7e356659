package httpapi

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mtad/queue"
)

type metrics struct {
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	refused  *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, q queue.Queue) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mtad_http_requests_total", Help: "HTTP requests by operation and status.",
		}, []string{"operation", "status"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mtad_http_request_seconds", Help: "Time to answer HTTP requests, long polls with their wait.",
			Buckets: []float64{.001, .005, .02, .1, .5, 2, 10, 60},
		}, []string{"operation"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mtad_http_denied_total", Help: "Requests denied, by error code.",
		}, []string{"code"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.requests, m.latency, m.refused, NewQueueCollector(q)} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) served(op *operation, status int, d time.Duration) {
	name := "none" // never the path: labels are bounded
	if op != nil {
		name = op.ID
	}
	m.requests.WithLabelValues(name, strconv.Itoa(status)).Inc()
	m.latency.WithLabelValues(name).Observe(d.Seconds())
}

func (m *metrics) denied(code string) { m.refused.WithLabelValues(code).Inc() }

// statsTime bounds how long a scrape waits for the queue.
const statsTime = 5 * time.Second

// queueCollector exports queue.Stats and queue.Health.
type queueCollector struct {
	q     queue.Queue
	descs map[string]*prometheus.Desc
}

// NewQueueCollector exports the state of q: messages, bytes, leases and oldest age
// by state, messages and oldest age by filter stage, held, staged, damaged and
// finished messages, and whether q is ready. New registers it; it is exported for
// a process without an API.
func NewQueueCollector(q queue.Queue) prometheus.Collector {
	c := &queueCollector{q: q, descs: make(map[string]*prometheus.Desc)}
	add := func(name, help string, labels ...string) {
		c.descs[name] = prometheus.NewDesc("mtad_queue_"+name, help, labels, nil)
	}
	add("messages", "Messages in the queue.", "state")
	add("bytes", "Octets of content in the queue.", "state")
	add("leased", "Messages somebody works on.", "state")
	add("oldest_age_seconds", "Age of the oldest message; 0 when there is none.", "state")
	add("stage_messages", "Messages that wait for a filter.", "filter")
	add("stage_leased", "Messages a filter works on.", "filter")
	add("stage_oldest_age_seconds", "Age of the oldest message that waits for a filter.", "filter")
	add("held", "Messages held.")
	add("staged", "Messages whose clients wait for a verdict.")
	add("damaged", "Records set aside because they could not be read.")
	add("history", "Finished messages still known.")
	add("ready", "1 while new messages are accepted.")
	add("writable", "1 while changes are possible.")
	add("free_bytes", "Free space of the store.")
	add("unsafe_settings", "Settings that void a promise.")
	add("up", "1 when the queue could be asked.")
	return c
}

func (c *queueCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

func (c *queueCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), statsTime)
	defer cancel()
	put := func(name string, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(c.descs[name], prometheus.GaugeValue, v, labels...)
	}
	h := c.q.Health(ctx)
	put("ready", flag(h.Ready))
	put("writable", flag(h.Writable))
	put("free_bytes", float64(h.FreeBytes))
	put("unsafe_settings", float64(len(h.Unsafe)))
	st, err := c.q.Stats(ctx)
	put("up", flag(err == nil))
	if err != nil {
		return
	}
	now := time.Now()
	for _, s := range st.States {
		name := s.State.String()
		put("messages", float64(s.Messages), name)
		put("bytes", float64(s.Bytes), name)
		put("leased", float64(s.Leased), name)
		put("oldest_age_seconds", age(now, s.Oldest), name)
	}
	for _, s := range st.Stages {
		put("stage_messages", float64(s.Messages), s.Stage)
		put("stage_leased", float64(s.Leased), s.Stage)
		put("stage_oldest_age_seconds", age(now, s.Oldest), s.Stage)
	}
	put("held", float64(st.Held))
	put("staged", float64(st.Staged))
	put("damaged", float64(st.Damaged))
	put("history", float64(st.History))
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func age(now, t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return max(0, now.Sub(t).Seconds())
}
