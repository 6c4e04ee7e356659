package deliver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"

	"mtad/internal/smtp"
	"mtad/queue"
)

// MaildirOptions configure a Maildir. Dir is required.
type MaildirOptions struct {
	// Dir holds one maildir for each mailbox, named by the next hop. It is made if
	// it is not there. Nothing outside it is touched, whatever a name says.
	Dir string

	Logger   *slog.Logger
	Registry prometheus.Registerer
}

// Maildir delivers into maildirs of this machine. A message is in a mailbox
// only when its file and the directory entry are on stable storage.
//
// Lines end with LF in the file; Return-Path and Delivered-To stand in front of
// our trace fields (RFC 5321 §4.4). The file's name is made of the queue ID, the
// part and the recipient, so that a repeat after a crash is recognised while
// the message is in "new", or in "cur" with the flags a reader usually sets.
type Maildir struct {
	obs *observer
	dir directory

	mu sync.Mutex
	// made are mailboxes whose directories are known to be durable.
	made map[string]bool
}

// maxMade bounds what is remembered of mailboxes; forgetting costs two syncs.
const maxMade = 10_000

// NewMaildir opens the directory.
func NewMaildir(o MaildirOptions) (*Maildir, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("deliver: maildir: %w", err)
	}
	root, err := os.OpenRoot(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("deliver: maildir: %w", err)
	}
	if err := syncParent(o.Dir); err != nil {
		_ = root.Close()
		return nil, fmt.Errorf("deliver: maildir: %w", err)
	}
	return &Maildir{obs: newObserver("maildir", o.Logger, o.Registry), dir: rooted{root}, made: map[string]bool{}}, nil
}

// Close closes the directory. Deliveries under way fail transiently.
func (m *Maildir) Close() error { return m.dir.Close() }

// Deliver implements Transport.
func (m *Maildir) Deliver(ctx context.Context, j Job) []Result {
	a := attempt{begun: m.obs.now()}
	results := make([]Result, 0, len(j.Recipients))
	for _, i := range j.Recipients {
		r := Result{Index: i, Status: queue.Delivered, Reply: stored}
		if err := m.deliverOne(ctx, &j, i); err != nil {
			a.err = err
			r.Reply = mailboxReply(err)
			r.Status = statusOf(r.Reply)
		}
		results = append(results, r)
	}
	m.obs.done(&j, results, a)
	return results
}

var (
	stored     = smtp.Reply{Code: 250, Enhanced: "2.1.5", Text: "delivered to mailbox"}
	badMailbox = smtp.Reply{Code: 550, Enhanced: "5.1.1", Text: "no such mailbox"}
)

// errMailbox: the next hop is no name of a mailbox.
var errMailbox = errors.New("not a mailbox name")

// mailboxReply is the reply for an error: only a name that cannot be a mailbox is
// permanent.
func mailboxReply(err error) smtp.Reply {
	switch {
	case errors.Is(err, errMailbox):
		return badMailbox
	case errors.Is(err, syscall.EDQUOT):
		return smtp.Reply{Code: 452, Enhanced: "4.2.2", Text: "mailbox over quota"}
	case errors.Is(err, syscall.ENOSPC):
		return smtp.Reply{Code: 452, Enhanced: "4.3.1", Text: "no space for the mailbox"}
	case errors.Is(err, errContent):
		return noContent
	}
	return smtp.Reply{Code: 451, Enhanced: "4.2.0", Text: "mailbox not available now"}
}

// checkMailbox refuses what is not one plain path element. The router has a
// finer rule; this one holds whoever routes.
func checkMailbox(name string) error {
	if name == "" || len(name) > 255 || name[0] == '.' || strings.ContainsAny(name, "/\\\x00") || !filepath.IsLocal(name) {
		return errMailbox
	}
	return nil
}

func (m *Maildir) deliverOne(ctx context.Context, j *Job, index int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := checkMailbox(j.NextHop); err != nil {
		return err
	}
	box := &mailbox{dir: m.dir, name: j.NextHop}
	if err := m.ensure(box); err != nil {
		return err
	}
	err := m.store(ctx, box, j, index)
	if err != nil { // somebody may have taken the mailbox away
		m.remember(box.name, false)
	}
	return err
}

// ensure makes the mailbox where this process has not done so before.
func (m *Maildir) ensure(box *mailbox) error {
	m.mu.Lock()
	made := m.made[box.name]
	m.mu.Unlock()
	if made {
		return nil
	}
	if err := box.make(); err != nil {
		return err
	}
	m.remember(box.name, true)
	return nil
}

func (m *Maildir) remember(name string, made bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !made {
		delete(m.made, name)
		return
	}
	if len(m.made) >= maxMade {
		clear(m.made)
	}
	m.made[name] = true
}

func (m *Maildir) store(ctx context.Context, box *mailbox, j *Job, index int) error {
	file := fileName(&j.Item, j.recipient(index).Path)
	there, err := box.has(file)
	if err != nil || there {
		return err
	}
	tmp, err := box.write(ctx, j, index, file)
	if err != nil {
		return err
	}
	return box.publish(tmp, file)
}

// syncParent makes the entry of the directory itself durable.
func syncParent(dir string) error {
	d, err := os.Open(filepath.Dir(filepath.Clean(dir)))
	if errors.Is(err, fs.ErrPermission) { // not ours: it was made by somebody else
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
