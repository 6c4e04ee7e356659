package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"

	"mtad/api"
	"mtad/internal/admission"
	"mtad/internal/tokens"
	"mtad/queue"
)

// Server is the HTTP interface. It is an http.Handler; Run serves listeners with
// all limits in place.
type Server struct {
	queue   queue.Queue
	filters Filters
	door    *admission.Door
	tempDir string
	stored  *tokens.Store
	process Process
	route   func(path string) (transport, nextHop string, err error)
	// postmaster is who hears of what was redirected and could not be delivered.
	postmaster string
	states     func(context.Context) []api.FilterState
	limits     Limits
	log        *slog.Logger
	now        func() time.Time
	metrics    *metrics
	access     atomic.Pointer[access]
	failures   failures
	gate       gate
	seal       seal
	webhooks   Webhooks
	streams    streams
	fields     fieldTable

	operations map[string]*operation
	router     chi.Router
	handler    http.Handler

	// draining ends when the server stops: long polls answer at once.
	draining context.Context
	drain    context.CancelFunc
}

// New makes a Server. It starts nothing.
func New(o Options) (*Server, error) {
	if o.Queue == nil {
		return nil, errors.New("httpapi: no queue")
	}
	key, err := newSeal(o.ClaimKey)
	if err != nil {
		return nil, err
	}
	s := &Server{
		queue: o.Queue, filters: o.Filters, process: o.Process, states: o.FilterStates,
		limits: o.Limits.withDefaults(), log: o.Logger, now: o.Now, seal: key,
		operations: newOperations(), route: o.Route, postmaster: o.Postmaster,
	}
	if s.door = o.Door; s.door == nil {
		s.door = admission.New(admission.Options{Intake: noIntake{}})
	}
	s.tempDir, s.stored = o.TempDir, o.Stored
	if s.webhooks = o.Webhooks; s.webhooks == nil {
		s.webhooks = noWebhooks{}
	}
	if s.filters == nil {
		s.filters = noFilters{}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.process.Started.IsZero() {
		s.process.Started = s.now()
	}
	s.failures = failures{burst: s.limits.Failures, interval: s.limits.FailureTime}
	s.gate = gate{total: s.limits.Connections, each: s.limits.PerAddress}
	if s.metrics, err = newMetrics(o.Registry, o.Queue); err != nil {
		return nil, err
	}
	if o.Registry != nil {
		err := o.Registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "mtad_event_streams", Help: "Event streams that are open.",
		}, s.streams.count))
		if err != nil {
			return nil, err
		}
	}
	if o.Peers == nil {
		o.Peers = defaultPeers()
	}
	if err := s.SetAccess(o.Tokens, o.Peers); err != nil {
		return nil, err
	}
	s.draining, s.drain = context.WithCancel(context.Background())
	s.router = s.routes(o)
	s.handler = s.outermost(s.router)
	return s, nil
}

func defaultPeers() []Peer {
	peers := []Peer{{Name: "root", UID: 0, GID: -1, Scopes: AllScopes()}}
	if uid := os.Getuid(); uid > 0 {
		peers = append(peers, Peer{UID: uid, GID: -1, Scopes: AllScopes()})
	}
	return peers
}

// SetAccess replaces tokens and peers for every request that begins afterwards.
// On an error nothing is replaced.
func (s *Server) SetAccess(tokens []Token, peers []Peer) error {
	a, err := newAccess(tokens, peers)
	if err != nil {
		return err
	}
	s.access.Store(a)
	return nil
}

// ServeHTTP serves one request. Limits on connections and on the time of the
// header section are Run's.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Run serves the listeners until ctx ends, then lets requests under way end for
// Limits.DrainTime; long polls end at once. It closes the listeners.
func (s *Server) Run(ctx context.Context, listeners ...net.Listener) error {
	srv := &http.Server{
		Handler:           s,
		ConnContext:       withConn,
		ConnState:         connState,
		ReadHeaderTimeout: s.limits.HeaderTime,
		IdleTimeout:       s.limits.IdleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	done := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { done <- srv.Serve(gated{Listener: l, gate: &s.gate}) }()
	}
	var err error
	left := len(listeners)
	select {
	case <-ctx.Done():
	case err = <-done: // a listener broke: stop them all
		left--
	}
	s.drain()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.limits.DrainTime)
	defer cancel()
	if srv.Shutdown(stop) != nil {
		srv.Close()
	}
	for range left {
		<-done
	}
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}
