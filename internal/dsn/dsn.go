package dsn

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mtad/queue"
)

// Kind says what a report is about.
type Kind uint8

// The kinds. A Success report tells Delivered and Relayed recipients apart by
// their status.
const (
	Failed  Kind = iota + 1 // permanent failure, or the lifetime ended
	Delayed                 // not delivered yet, still trying
	Success                 // in a mailbox, or handed to a next hop that will not report
)

func (k Kind) String() string {
	switch k {
	case Failed:
		return "failed"
	case Delayed:
		return "delayed"
	case Success:
		return "success"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// MetaKey is the key of Item.Meta under which a DSN says what it is: the name
// of a Kind, or MetaDouble.
const (
	MetaKey    = "mtad.dsn"
	MetaDouble = "double-bounce"
)

// Defaults and bounds.
const (
	DefaultMaxFull    = 50_000   // octets of an original that is returned whole
	DefaultMaxHeaders = 16 << 10 // octets of a header section that is returned
	maxReported       = 500      // recipients in one DSN
)

// Options configure a Reporter. Open and Submit are required.
type Options struct {
	// Hostname is the reporting MTA and the domain of Message-IDs. Default "localhost".
	Hostname string
	// From is the mailbox in the From field. Default MAILER-DAEMON@Hostname.
	From string
	// Postmaster gets double bounces. Default postmaster@Hostname.
	Postmaster string
	// Open reads the original (queue.Queue.Open).
	Open func(context.Context, queue.OpenSpec) (queue.Content, error)
	// Submit puts a report into the queue, durably, and returns its queue ID.
	// Routes of the recipients are its business.
	Submit func(context.Context, queue.Envelope, queue.CreateOptions, io.WriterTo) (queue.ID, error)
	// MaxFull bounds, in octets, an original that is returned whole; of a longer one
	// the header section is, up to MaxHeaders. Zero: the defaults.
	MaxFull    int64
	MaxHeaders int

	Now      func() time.Time      // default time.Now
	Rand     io.Reader             // of boundaries and Message-IDs; default crypto/rand
	Logger   *slog.Logger          // default: no log
	Registry prometheus.Registerer // nil: no metrics
}

// Reporter makes reports. It is safe for concurrent use.
type Reporter struct {
	o    Options
	made *prometheus.CounterVec
}

// New returns a Reporter. It panics without Open or Submit.
func New(o Options) *Reporter {
	if o.Open == nil || o.Submit == nil {
		panic("dsn: Open and Submit are required")
	}
	o.Hostname = orDefault(o.Hostname, "localhost")
	o.From = orDefault(o.From, "MAILER-DAEMON@"+o.Hostname)
	o.Postmaster = orDefault(o.Postmaster, "postmaster@"+o.Hostname)
	o.MaxFull = orDefault(o.MaxFull, DefaultMaxFull)
	o.MaxHeaders = orDefault(o.MaxHeaders, DefaultMaxHeaders)
	o.Rand = orDefault(o.Rand, rand.Reader)
	o.Logger = orDefault(o.Logger, slog.New(slog.DiscardHandler))
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Reporter{o: o, made: counter(o.Registry)}
}

// counter is that of the registry, where another Reporter has made it already.
func counter(reg prometheus.Registerer) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "mtad_dsn_total", Help: "Delivery status notifications, by kind and result: made, repeated, error, impossible.",
	}, []string{"kind", "result"})
	var there prometheus.AlreadyRegisteredError
	if reg != nil && errors.As(reg.Register(c), &there) {
		if old, ok := there.ExistingCollector.(*prometheus.CounterVec); ok {
			return old
		}
	}
	return c
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// Wanted says whether a report of kind k about recipient i of the item is to be
// made (RFC 3461 §4.1, §5.2): NOTIFY decides; without it failures and delays
// are reported and success is not. For the null reverse-path only a failure is
// (as a double bounce), unless the item is a double bounce itself.
func Wanted(it *queue.Item, k Kind, i int) bool {
	n := it.Envelope.Recipients[i].Notify
	if it.Envelope.ReversePath == "" {
		return k == Failed && !isDouble(it)
	}
	if n&queue.NotifyNever != 0 {
		return false
	}
	switch k {
	case Failed:
		return n == 0 || n&queue.NotifyFailure != 0
	case Delayed:
		return n == 0 || n&queue.NotifyDelay != 0
	case Success:
		return n&queue.NotifySuccess != 0
	}
	return false
}

func isDouble(it *queue.Item) bool {
	return it.Origin == queue.OriginDSN && it.Meta[MetaKey] == MetaDouble
}

// Report tells the reverse-path of the item about the recipients with the given
// indexes, of which those that are not Wanted are left out. Status, LastReply,
// LastRemote and LastAttempt of each have to say what happened, and for Delayed
// Expires until when delivery is tried. The item need not be stored like that yet.
//
// After nil the report is durable, or was before, or nobody wants one. Any error
// is transient: call again with the same arguments.
func (r *Reporter) Report(ctx context.Context, it queue.Item, k Kind, rcpts []int) error {
	var wanted []int
	for _, i := range rcpts {
		if i < 0 || i >= len(it.Envelope.Recipients) {
			return fmt.Errorf("dsn: recipient %d of %s: %w", i, it.ID, queue.ErrInvalid)
		}
		if Wanted(&it, k, i) {
			wanted = append(wanted, i)
		}
	}
	slices.Sort(wanted)
	wanted = slices.Compact(wanted)
	for chunk := range slices.Chunk(wanted, maxReported) {
		if err := r.report(ctx, &it, k, chunk); err != nil {
			r.made.WithLabelValues(k.String(), "error").Inc()
			return fmt.Errorf("dsn: report %s of %s: %w", k, it.ID, err)
		}
	}
	return nil
}

// report makes one DSN. One that the queue refuses for good is tried again with
// less of the original, then for the postmaster: a bounce does not disappear
// because its addressee cannot be written to.
func (r *Reporter) report(ctx context.Context, it *queue.Item, k Kind, rcpts []int) error {
	to, double := it.Envelope.ReversePath, false
	if to == "" {
		to, double = r.o.Postmaster, true
	}
	err := r.submit(ctx, it, k, rcpts, to, double, wholeOriginal)
	if errors.Is(err, queue.ErrTooLarge) {
		err = r.submit(ctx, it, k, rcpts, to, double, noOriginal)
	}
	if permanent(err) && !double && k == Failed {
		to, double = r.o.Postmaster, true
		err = r.submit(ctx, it, k, rcpts, to, double, noOriginal)
	}
	if permanent(err) {
		r.made.WithLabelValues(k.String(), "impossible").Inc()
		r.o.Logger.Error("report cannot be made", "queue_id", it.ID, "kind", k.String(), "to", to, "error", err)
		return nil
	}
	return err
}

func permanent(err error) bool {
	return errors.Is(err, queue.ErrTooLarge) || errors.Is(err, queue.ErrInvalid)
}

func (r *Reporter) submit(ctx context.Context, it *queue.Item, k Kind, rcpts []int, to string, double bool, take taking) error {
	m, err := r.compose(ctx, it, k, rcpts, to, double, take)
	if err != nil {
		return err
	}
	meta := k.String()
	if double {
		meta = MetaDouble
	}
	id, err := r.o.Submit(ctx, m.envelope(), queue.CreateOptions{
		Origin: queue.OriginDSN, Parent: it.ID.Message(), DedupeKey: dedupeKey(it, k, rcpts),
		Meta: map[string]string{MetaKey: meta}, SizeHint: int64(m.body.Len()),
	}, m)
	var dup *queue.DuplicateError
	switch {
	case errors.As(err, &dup):
		r.o.Logger.Info("report made before", "queue_id", it.ID, "dsn", dup.ID, "kind", meta)
		r.made.WithLabelValues(k.String(), "repeated").Inc()
		return nil
	case errors.Is(err, queue.ErrExists):
		r.made.WithLabelValues(k.String(), "repeated").Inc()
		return nil
	case err != nil:
		return err
	}
	r.made.WithLabelValues(k.String(), "made").Inc()
	r.o.Logger.Info("report", "queue_id", it.ID, "dsn", id, "kind", meta, "to", to, "recipients", len(rcpts))
	return nil
}

// dedupeKey names what is reported: the item, the kind and the recipients, in
// under 200 octets. Replies are left out: a repeat may have got another one.
func dedupeKey(it *queue.Item, k Kind, rcpts []int) string {
	h := sha256.New()
	for _, i := range rcpts {
		fmt.Fprintf(h, "%q\n", it.Envelope.Recipients[i].Path)
	}
	return "dsn:" + string(it.ID) + ":" + k.String() + ":" + hex.EncodeToString(h.Sum(nil)[:16])
}
