package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mtad/internal/admission"
	"mtad/internal/certs"
	"mtad/internal/config"
	"mtad/internal/filter"
	"mtad/internal/filter/milterfilter"
	"mtad/internal/filter/signfilter"
	"mtad/internal/filter/smtpfilter"
	"mtad/internal/httpapi"
	"mtad/internal/intake"
	"mtad/internal/mxlookup"
	"mtad/internal/pickup"
	"mtad/internal/qmgr"
	"mtad/internal/route"
	"mtad/internal/smtpd"
	"mtad/internal/telemetry"
	tokenstore "mtad/internal/tokens"
	"mtad/internal/webhook"
	"mtad/queue"

	"github.com/prometheus/client_golang/prometheus"
)

// ErrConfig: the configuration cannot be used. Problems with a place in the file
// are config.Problems instead.
var ErrConfig = errors.New("configuration")

// Options are what the configuration file does not say. The zero value is
// usable.
type Options struct {
	Version string
	Log     io.Writer // default: standard error
	// Sockets are the listeners that a service manager passed, by name.
	Sockets map[string][]net.Listener
	// Now is the clock of the queue; default time.Now.
	Now func() time.Time
}

// App is one mtad. New, Start and Stop are called once each, in this order;
// everything else is safe for concurrent use.
type App struct {
	o       Options
	version string
	started time.Time
	log     *telemetry.Log
	reg     *prometheus.Registry
	life    *telemetry.Life

	spool  *spool
	queue  queue.Queue
	table  atomic.Pointer[route.Table]
	filter filterSwitch
	// returns pairs what content filters give back; it outlives every reload.
	returns smtpfilter.Returns
	intake  *intake.Intake
	dns     *mxlookup.Resolver
	room    *smtpd.Room
	qmgr    *qmgr.Manager
	door    *admission.Door
	pickup  atomic.Pointer[pickup.Pickup] // nil: there is no maildrop
	api     *httpapi.Server
	hooks   *webhook.Sender
	tokens  *tokenstore.Store
	certs   certificates
	logins  logins
	// challenges is where an ACME server asks; nil without one.
	challenges net.Listener

	apiListeners []bound
	failed       chan error // of something that should have gone on

	reloading sync.Mutex      // held by Reload; before mu
	retired   sync.WaitGroup  // servers that a reload put out of use
	retiring  context.Context // ends when they have to

	mu      sync.Mutex // guards what follows; never held while waiting
	cfg     *config.Config
	doors   map[string]*door
	swept   *worker // runs the filter engine in use
	down    stack
	stopped bool
}

// bound is a listener of the API.
type bound struct {
	name string
	tls  bool
	net.Listener
}

// New wires an App: it opens the spool and binds all sockets, and serves
// nothing yet. After an error nothing is left open.
func New(ctx context.Context, cfg *config.Config, o Options) (_ *App, err error) {
	if o.Log == nil {
		o.Log = os.Stderr
	}
	log, err := telemetry.NewLog(o.Log, cfg.Log.Format, cfg.Log.Level)
	if err != nil {
		return nil, err
	}
	a := &App{
		o: o, version: o.Version, started: time.Now(), log: log, cfg: cfg,
		reg: telemetry.NewRegistry(o.Version), failed: make(chan error, 8), doors: map[string]*door{},
	}
	a.life = telemetry.NewLife(a.reg)
	a.certs.store = certs.New(certs.Options{Logger: log.Logger, Registry: a.reg})
	a.logins.wire(log.Logger, a.reg)
	a.down.log = log.Logger
	a.down.push("old listeners", a.retirement())
	defer func() {
		if err != nil {
			err = errors.Join(err, a.down.unwind(context.WithoutCancel(ctx)))
			log.Flush()
		}
	}()
	for _, step := range []func(context.Context) error{
		a.openStore, a.wireMail, a.wireDelivery, a.wireAPI, a.wireACME, a.bindDoors,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	a.life.Loaded(time.Now())
	a.life.Unsafe(append(slices.Clone(a.spool.unsafe), a.queue.Health(ctx).Unsafe...))
	return a, nil
}

// Check looks for what only the packages behind a configuration can find.
func Check(cfg *config.Config) error {
	if _, err := routes(cfg); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if err := knownUsers(cfg); err != nil {
		return err
	}
	_, err := submission(cfg)
	return err
}

// Start serves. It returns at once.
func (a *App) Start() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.startAPI()
	a.startWebhooks()
	a.startDelivery()
	a.startFilters()
	a.startPickup()
	a.startCertificates()
	for _, name := range slices.Sorted(maps.Keys(a.doors)) {
		a.doors[name].serve()
		a.log.Info("listening", "name", name, "kind", a.cfg.Listeners[name].Kind, "address", a.doors[name].socket.Addr().String())
	}
	a.down.push("smtp", a.stopDoors)
	a.log.Info("started", "version", a.version, "hostname", a.cfg.Hostname, "spool", a.cfg.Spool.Directory)
}

// Failed delivers the error of a part that ended by itself.
func (a *App) Failed() <-chan error { return a.failed }

// Stop drains and closes everything, in reverse order of Start, until ctx ends;
// what is still under way then is cut off.
func (a *App) Stop(ctx context.Context) error {
	a.reloading.Lock() // one under way ends first; none comes after
	defer a.reloading.Unlock()
	a.mu.Lock()
	a.stopped = true
	a.mu.Unlock()
	err := a.down.unwind(ctx)
	a.log.Info("stopped")
	a.log.Flush()
	return err
}

// Addr is the address that a listener is bound to: by its name in the
// configuration, or "api", "api.1" … and "api.unix". Nil when there is none.
func (a *App) Addr(name string) net.Addr {
	a.mu.Lock()
	defer a.mu.Unlock()
	if d, ok := a.doors[name]; ok {
		return d.socket.Addr()
	}
	for _, l := range a.apiListeners {
		if l.name == name {
			return l.Addr()
		}
	}
	return nil
}

// Queue is the queue, for tests and tools in the same process.
func (a *App) Queue() queue.Queue { return a.queue }

// Metrics is the registry.
func (a *App) Metrics() *prometheus.Registry { return a.reg }

// watch reports when a part ends that should not.
func (a *App) watch(name string, run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		err := run(ctx)
		if ctx.Err() == nil {
			select {
			case a.failed <- fmt.Errorf("app: %s ended: %w", name, err):
			default:
			}
		}
		return err
	}
}

// filterSwitch is the filter engine in use, with the gates and the signer of
// reports that go with it: a reload puts others in their place.
type filterSwitch struct {
	now     atomic.Pointer[filter.Engine]
	gates   atomic.Pointer[gates]
	reports atomic.Pointer[signfilter.Filter]
	live    milterfilter.Live // of all gates, whichever configuration they are of
}
