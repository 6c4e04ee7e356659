package mxlookup

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"
)

// Resolver looks up next hops. Safe for concurrent use. It has no goroutine
// that outlives a question's time-outs.
type Resolver struct {
	o       Options
	servers *servers
	cache   *cache
	flights singleflight.Group
	metrics *metrics
}

// New makes a Resolver. Nothing is asked yet.
func New(o Options) *Resolver {
	o = o.withDefaults()
	return &Resolver{
		o:       o,
		servers: &servers{fixed: o.Servers, file: o.ResolvConf},
		cache:   newCache(o.CacheSize),
		metrics: newMetrics(o.Registry),
	}
}

// query answers from the cache, from a question under way, or by asking.
// CNAMEs that an answer leaves open are asked for in turn.
func (r *Resolver) query(ctx context.Context, name string, qtype uint16) (answer, error) {
	for range maxCNAMEs {
		a, err := r.queryOne(ctx, question{name, qtype})
		if err != nil || a.alias == "" {
			return a, err
		}
		name = a.alias
	}
	return answer{}, fmt.Errorf("more than %d CNAMEs", maxCNAMEs)
}

func (r *Resolver) queryOne(ctx context.Context, q question) (answer, error) {
	if e, ok := r.cache.get(q, r.o.Now()); ok {
		r.metrics.hit()
		return e.answer, e.err
	}
	ch := r.flights.DoChan(q.name+" "+strconv.Itoa(int(q.qtype)), func() (any, error) {
		// Who asked first may go away; the others still want the answer.
		return r.fetch(context.WithoutCancel(ctx), q), nil
	})
	select {
	case res := <-ch:
		e := res.Val.(*cached)
		return e.answer, e.err
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
}

// fetch asks and keeps what came, a failure too.
func (r *Resolver) fetch(ctx context.Context, q question) *cached {
	if e, ok := r.cache.get(q, r.o.Now()); ok {
		return e
	}
	limit := r.o.Timeout * time.Duration(2*r.o.Rounds*maxServers)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	e := &cached{q: q}
	m, err := r.ask(ctx, q)
	ttl := r.o.MinTTL
	if err != nil {
		e.err = err
		r.metrics.failed(q.qtype)
		r.o.Logger.Debug("dns question failed", "name", q.name, "type", dns.TypeToString[q.qtype], "error", err)
	} else {
		e.answer = read(m, dns.Fqdn(q.name), q.qtype)
		ttl = r.clamp(e.answer)
		r.metrics.answered(q.qtype)
	}
	e.expires = r.o.Now().Add(ttl)
	if e.answer.octets <= maxKept {
		r.cache.put(e)
	}
	return e
}

func (r *Resolver) clamp(a answer) time.Duration {
	top := r.o.MaxTTL
	if a.empty() {
		top = r.o.MaxNegativeTTL
	}
	return max(min(a.ttl, top), r.o.MinTTL)
}

func shuffle(n int, swap func(i, j int)) { rand.Shuffle(n, swap) }

// metrics are nil-safe through unregistered collectors.
type metrics struct {
	questions *prometheus.CounterVec
	hits      prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		questions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mtad_dns_questions_total", Help: "DNS questions asked, by type and result.",
		}, []string{"type", "result"}),
		hits: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mtad_dns_cache_hits_total", Help: "DNS questions answered from the cache.",
		}),
	}
	if reg != nil {
		m.questions = register(reg, m.questions)
		m.hits = register(reg, m.hits)
	}
	return m
}

// register uses the collector that is there already, if one is: two resolvers
// may share a registry.
func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	var there prometheus.AlreadyRegisteredError
	if err := reg.Register(c); errors.As(err, &there) {
		if old, ok := there.ExistingCollector.(C); ok {
			return old
		}
	}
	return c
}

func (m *metrics) hit() { m.hits.Inc() }

func (m *metrics) failed(qtype uint16) {
	m.questions.WithLabelValues(dns.TypeToString[qtype], "failed").Inc()
}

func (m *metrics) answered(qtype uint16) {
	m.questions.WithLabelValues(dns.TypeToString[qtype], "answered").Inc()
}
