package telemetry

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// NewRegistry has the metrics of the process and of the build.
func NewRegistry(version string) *prometheus.Registry {
	r := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "mtad_build_info",
		Help:        "Always 1; the labels say what runs.",
		ConstLabels: prometheus.Labels{"version": version, "go": runtime.Version()},
	})
	build.Set(1)
	r.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Store are the metrics of the queue's store.
type Store struct {
	sync  prometheus.Histogram
	batch prometheus.Histogram
}

// NewStore registers them.
func NewStore(r prometheus.Registerer) *Store {
	s := &Store{
		sync: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "mtad_store_sync_seconds",
			Help:    "How long making a batch durable took.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
		}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "mtad_store_batch_changes",
			Help:    "Changes that were made durable together.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 12),
		}),
	}
	r.MustRegister(s.sync, s.batch)
	return s
}

// Synced notes a batch of so many changes that was synced in d.
func (s *Store) Synced(changes int, d time.Duration) {
	s.sync.Observe(d.Seconds())
	s.batch.Observe(float64(changes))
}

// Life are the metrics of the daemon.
type Life struct {
	reloads *prometheus.CounterVec
	loaded  prometheus.Gauge
	unsafe  *prometheus.GaugeVec
}

// NewLife registers them.
func NewLife(r prometheus.Registerer) *Life {
	l := &Life{
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mtad_config_reloads_total",
			Help: "Reloads of the configuration, by result.",
		}, []string{"result"}),
		loaded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mtad_config_loaded_timestamp_seconds",
			Help: "When the configuration in use was read.",
		}),
		unsafe: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mtad_unsafe_setting",
			Help: "1 for each setting that voids a promise.",
		}, []string{"setting"}),
	}
	for _, result := range []string{"applied", "refused"} {
		l.reloads.WithLabelValues(result)
	}
	r.MustRegister(l.reloads, l.loaded, l.unsafe)
	return l
}

// Loaded notes that a configuration is in use since now.
func (l *Life) Loaded(now time.Time) { l.loaded.Set(float64(now.Unix())) }

// Reloaded notes the end of a reload.
func (l *Life) Reloaded(applied bool) {
	result := "refused"
	if applied {
		result = "applied"
	}
	l.reloads.WithLabelValues(result).Inc()
}

// Unsafe shows the settings that void a promise.
func (l *Life) Unsafe(settings []string) {
	l.unsafe.Reset()
	for _, s := range settings {
		l.unsafe.WithLabelValues(s).Set(1)
	}
}
