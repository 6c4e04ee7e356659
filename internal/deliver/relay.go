package deliver

import (
	"context"
	"crypto/tls"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mtad/internal/mxlookup"
	"mtad/internal/smtp"
	"mtad/internal/smtpclient"
	"mtad/queue"
)

// RelayOptions configure a Relay. Lookup is required.
type RelayOptions struct {
	// Name of the transport in logs and metrics: "smtp", or "lmtp" with Client.LMTP.
	Name string
	// Lookup finds the addresses of a next hop: (*mxlookup.Resolver).Lookup. A next
	// hop "unix:/path" is a socket and is not looked up.
	Lookup func(ctx context.Context, nextHop string) ([]mxlookup.Target, error)
	// Client is the same for every session; ServerName is set for each.
	Client smtpclient.Options
	// MaxHosts bounds the addresses tried in one attempt; 5 if 0.
	MaxHosts int
	// MaxRecipients of one transaction, 100 if 0 (RFC 5321 §4.5.3.1.8); a next hop
	// that names a lower limit gets that.
	MaxRecipients int

	// IdleTimeout is how long a session waits for the next transaction, 5 s if 0;
	// MaxAge how old it may get, 5 min if 0; MaxMessages its transactions, 100 if
	// 0 (negative: no bound); MaxIdle the idle sessions in all, 500 if 0.
	IdleTimeout, MaxAge  time.Duration
	MaxMessages, MaxIdle int

	Logger   *slog.Logger
	Registry prometheus.Registerer
}

func (o RelayOptions) withDefaults() RelayOptions {
	setDefault(&o.Name, "smtp")
	setDefault(&o.MaxHosts, 5)
	setDefault(&o.MaxRecipients, 100)
	setDefault(&o.IdleTimeout, 5*time.Second)
	setDefault(&o.MaxAge, 5*time.Minute)
	setDefault(&o.MaxMessages, 100)
	setDefault(&o.MaxIdle, 500)
	if o.Client.TLSConfig == nil {
		o.Client.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(0)}
	}
	return o
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Relay hands messages to next hops over SMTP or LMTP. Sessions are kept for a
// while and used again; never one that had an error.
type Relay struct {
	o    RelayOptions
	obs  *observer
	pool *pool
}

// NewRelay makes a Relay. Close ends its idle sessions.
func NewRelay(o RelayOptions) *Relay {
	o = o.withDefaults()
	return &Relay{o: o, obs: newObserver(o.Name, o.Logger, o.Registry), pool: newPool(o)}
}

// Close ends the idle sessions, and those in use when their transaction ends.
func (r *Relay) Close() error {
	r.pool.close()
	return nil
}

// Deliver implements Transport. The hosts of the next hop are tried in order:
// the next one when there was no session, when it ended before the content
// was sent, or when MAIL was refused for the time being.
func (r *Relay) Deliver(ctx context.Context, j Job) []Result {
	x := &delivery{r: r, j: &j, results: make([]Result, len(j.Recipients)), a: attempt{begun: r.obs.now()}}
	for n, i := range j.Recipients {
		x.results[n].Index = i
		x.open = append(x.open, n)
	}
	x.run(ctx)
	r.obs.done(&j, x.results, x.a)
	return x.results
}

// delivery is one attempt under way.
type delivery struct {
	r       *Relay
	j       *Job
	a       attempt
	results []Result
	// open are the positions in results that are not decided yet.
	open []int
	// reply and remote are what undecided recipients are told in the end.
	reply  smtp.Reply
	remote string
	// refusing: every host so far said that it takes no mail at all.
	refusing, reached bool
}

func (x *delivery) run(ctx context.Context) {
	key := x.key()
	if s := x.r.pool.get(key); s != nil {
		x.r.obs.metrics.reused.Inc()
		x.send(ctx, s, true)
	}
	if len(x.open) > 0 && !x.over(ctx) {
		x.hosts(ctx, key)
	}
	x.rest()
}

// key is what sessions are kept under: the next hop, and what is asked of TLS.
func (x *delivery) key() string {
	if x.j.Item.Envelope.RequireTLS {
		return "verified " + x.j.NextHop
	}
	return x.j.NextHop
}

// over reports whether the attempt has to end, by a word from above.
func (x *delivery) over(ctx context.Context) bool {
	if ctx.Err() == nil {
		return false
	}
	x.tell(smtp.Reply{Code: 451, Enhanced: "4.3.2", Text: "attempt interrupted"}, "", ctx.Err())
	return true
}

// tell keeps why undecided recipients are undecided.
func (x *delivery) tell(reply smtp.Reply, remote string, err error) {
	x.reply, x.remote, x.a.err = reply, remote, err
}

// rest decides what is left.
func (x *delivery) rest() {
	if len(x.open) == 0 {
		return
	}
	if x.reply.IsZero() {
		x.reply = smtp.Reply{Code: 451, Enhanced: "4.3.0", Text: "no host could be tried"}
	}
	status := queue.Pending
	if x.reached && x.refusing {
		status = statusOf(x.reply)
	}
	for _, n := range x.open {
		x.results[n].Status, x.results[n].Reply, x.results[n].Remote = status, x.reply, x.remote
	}
	x.open = nil
}

// hosts tries the addresses of the next hop.
func (x *delivery) hosts(ctx context.Context, key string) {
	targets, err := x.lookup(ctx)
	if err != nil {
		x.noTargets(err)
		return
	}
	x.refusing = true
	for _, t := range targets[:min(len(targets), x.r.o.MaxHosts)] {
		if x.over(ctx) {
			return
		}
		if x.host(ctx, t, key); len(x.open) == 0 {
			return
		}
	}
	x.over(ctx)
}

// host tries one address, with more than one session if a session takes only
// some of the recipients.
func (x *delivery) host(ctx context.Context, t mxlookup.Target, key string) {
	for before := len(x.open) + 1; len(x.open) > 0 && len(x.open) < before; {
		before = len(x.open)
		s, err := x.connect(ctx, t, key)
		if err != nil {
			x.noSession(t, err)
			return
		}
		x.refusing = false
		if x.send(ctx, s, false); !x.reply.IsZero() {
			return
		}
	}
}

func (x *delivery) lookup(ctx context.Context) ([]mxlookup.Target, error) {
	if strings.HasPrefix(x.j.NextHop, unixPrefix) {
		return []mxlookup.Target{{Host: "localhost"}}, nil
	}
	return x.r.o.Lookup(ctx, x.j.NextHop)
}

const unixPrefix = "unix:"

// connect opens a session with one address.
func (x *delivery) connect(ctx context.Context, t mxlookup.Target, key string) (*session, error) {
	o := x.r.o.Client
	o.ServerName = t.Host
	if x.j.Item.Envelope.RequireTLS {
		o.TLS = smtpclient.TLSVerify
	}
	network, address := "tcp", t.Addr.String()
	if path, ok := strings.CutPrefix(x.j.NextHop, unixPrefix); ok {
		network, address = "unix", path
	}
	m := x.r.obs.metrics
	begun := time.Now()
	c, err := smtpclient.Dial(ctx, network, address, o)
	x.a.connect += time.Since(begun)
	if err != nil {
		m.connects.WithLabelValues("failed").Inc()
		return nil, err
	}
	m.connects.WithLabelValues("ok").Inc()
	m.open.Inc()
	return &session{Conn: c, key: key, target: t, born: begun, closed: m.open.Dec}, nil
}
