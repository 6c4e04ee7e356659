package deliver

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mtad/queue"
)

// observer is what a transport tells the outside: a log line for each recipient
// of an attempt, and the counters.
type observer struct {
	transport string
	log       *slog.Logger
	metrics   *metrics
	results   [len(resultNames)]prometheus.Counter // by status
	seconds   prometheus.Observer
	now       func() time.Time
}

var resultNames = [...]string{queue.Pending: "deferred", queue.Delivered: "delivered", queue.Relayed: "relayed", queue.Failed: "failed"}

func newObserver(transport string, log *slog.Logger, reg prometheus.Registerer) *observer {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	o := &observer{transport: transport, log: log, metrics: newMetrics(reg), now: time.Now}
	for status, name := range resultNames {
		o.results[status] = o.metrics.results.WithLabelValues(transport, name)
	}
	o.seconds = o.metrics.seconds.WithLabelValues(transport)
	return o
}

// attempt is when and how one attempt went.
type attempt struct {
	begun   time.Time
	connect time.Duration // until a session stood; 0 on a connection used again
	remote  string        // host, address and port that was tried last
	tls     string        // version and cipher suite
	err     error         // for people: why there was no reply
}

// done reports an attempt.
func (o *observer) done(j *Job, results []Result, a attempt) {
	total := o.now().Sub(a.begun)
	o.seconds.Observe(total.Seconds())
	logs := o.log.Enabled(context.Background(), slog.LevelInfo)
	for i := range results {
		r := &results[i]
		if int(r.Status) < len(o.results) {
			o.results[r.Status].Inc()
		}
		if logs {
			o.line(j, r, a, total)
		}
	}
}

func (o *observer) line(j *Job, r *Result, a attempt, total time.Duration) {
	attrs := make([]slog.Attr, 0, 14)
	attrs = append(attrs,
		slog.String("queue_id", string(j.Item.ID)),
		slog.String("recipient", j.recipient(r.Index).Path),
		slog.String("transport", o.transport),
		slog.String("next_hop", j.NextHop),
		slog.String("remote", a.remote),
		slog.String("status", resultNames[r.Status]),
		slog.String("reply", r.Reply.String()),
		slog.Duration("queued", max(0, a.begun.Sub(j.Item.Created))),
		slog.Duration("connect", a.connect),
		slog.Duration("total", total),
		slog.String("tls", a.tls),
	)
	if a.err != nil {
		attrs = append(attrs, slog.String("error", a.err.Error()))
	}
	o.log.LogAttrs(context.Background(), slog.LevelInfo, "delivery", attrs...)
}
