package admission

import (
	"context"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"mtad/internal/intake"
	"mtad/internal/submission"
	"mtad/queue"
)

// Intake is what is needed of *intake.Intake.
type Intake interface {
	Open(ctx context.Context, env queue.Envelope, d intake.Door) (*intake.Message, error)
}

// Options say what a Door works with. Intake and Hostname are required.
type Options struct {
	Intake Intake
	// Hostname completes addresses without a domain.
	Hostname string
	// Local says whether a domain's mailboxes are here; nil: no domain is.
	Local func(domain string) bool
	// History is the queue's: it tells what a Key was used for. nil: a Key is not
	// compared with its request.
	History func(context.Context, queue.ID) ([]queue.Item, error)
	// HasChain says whether there is a filter chain; nil: there is.
	HasChain func(name string) bool
	// Delimiter begins the extension of a local part, "" if there is none.
	Delimiter string
	Now       func() time.Time // default time.Now
	Logger    *slog.Logger
}

// Settings are what a reload changes.
type Settings struct {
	Rules      Rules
	Recipients int   // of one message; 0: submission.DefaultRecipients
	MaxSize    int64 // octets of content, for Grants without a bound of their own; 0: none
	Chain      string
}

// Door takes messages. It is safe for concurrent use.
type Door struct {
	o        Options
	log      *slog.Logger
	now      func() time.Time
	settings atomic.Pointer[Settings]
	rates    rates
	keys     keys
	buffers  sync.Pool // of *[]byte
}

// New makes a Door without rules: nobody local may submit.
func New(o Options) *Door {
	d := &Door{o: o, log: o.Logger, now: o.Now}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.now == nil {
		d.now = time.Now
	}
	if d.o.Local == nil {
		d.o.Local = func(string) bool { return false }
	}
	d.settings.Store(&Settings{})
	return d
}

// Set replaces the settings for every message that begins afterwards.
func (d *Door) Set(s Settings) { d.settings.Store(&s) }

// Settings are those in use.
func (d *Door) Settings() Settings { return *d.settings.Load() }

// GrantOf is what a local user may do, by the uid and the groups, the primary one
// among them, that the kernel names: everything for root and the user of this process, otherwise
// what the rules say.
func (d *Door) GrantOf(uid int, groups []int) (Grant, bool) {
	s := d.settings.Load()
	if uid == 0 || uid == os.Geteuid() {
		return Unlimited(s.Chain), true
	}
	return s.Rules.For(uid, groups)
}

// Limits are the bounds of a block of the submission format.
func (d *Door) Limits() submission.Limits {
	n := d.settings.Load().Recipients
	return submission.Limits{Recipients: n, Block: max(submission.DefaultBlock, n*256)}
}

// Hostname is that of Options.
func (d *Door) Hostname() string { return d.o.Hostname }

// HasChain says whether there is a filter chain of this name; NoChain is one.
func (d *Door) HasChain(name string) bool {
	return name == NoChain || d.o.HasChain == nil || d.o.HasChain(name)
}

// Caller is who hands in a message.
type Caller struct {
	// Name is for logs, the message's Meta, and the scope of keys and rates: two
	// callers with one name are one. "uid:1000", "token:NAME".
	Name string
	// Login is the user's name where a Grant says "own"; nil: there is none.
	Login func() string
	Grant Grant
	// Client is what the door itself knows of the caller. It stands in the envelope
	// unless the caller claims another one, and may.
	Client queue.Client
}

// Request is a message to be taken. Envelope and Content are required. The
// Envelope is not kept, and not changed.
type Request struct {
	Envelope *submission.Envelope
	// Content is the message with line ends of any kind.
	Content io.Reader
	// Canonical: the line ends are CRLF, all of them, and the last line has one.
	Canonical bool
	Origin    queue.Origin
	// Key makes the request idempotent within the Caller: a second one with the same
	// Key answers the first one's ID and keeps nothing. Any length.
	Key string
	// Digest is asked for when Content was read to its end: what the request is, for
	// telling a repetition from another request with the same Key. At most 200 octets.
	// nil: the Key alone decides.
	Digest func() string
	Size   int64 // expected octets of content; 0: unknown
	// From are the addresses in From and Sender, without brackets, where the door
	// knows them; nil: they are read from Content when the Grant wants to know.
	From []string
	// Chain is the filter chain that the caller asks for; "": the Grant's.
	Chain string

	UTF8     bool // the header section needs SMTPUTF8, too
	Body     queue.BodyType
	Priority int8
	NextAt   time.Time
	Expires  time.Time
	Hold     *queue.Hold
	// Meta is kept with the message; MetaCaller is set by Submit.
	Meta map[string]string
}

// Keys of Item.Meta.
const (
	MetaCaller = "submitted_by" // Caller.Name
	MetaDigest = "digest"       // Request.Digest, of a request with a Key
)

// Result is what became of a message that was taken.
type Result struct {
	ID queue.ID
	// Duplicate: Request.Key was used before; ID is the first message's.
	Duplicate  bool
	Recipients []Recipient
}

// Recipient is a recipient of a message that was taken.
type Recipient struct {
	ID   string
	Path string
}
