package pickup

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"
	"time"

	"mtad/filterproto"
	"mtad/internal/admission"
	"mtad/internal/intake"
	"mtad/internal/maildrop"
	"mtad/internal/smtp"
	"mtad/internal/submission"
	"mtad/queue"
)

// take submits a message.
func (r *round) take(ctx context.Context, file, name string) {
	f, err := openIn(r.p.in, file)
	if err != nil {
		r.notOpened(file, err)
		return
	}
	defer f.Close()
	st, _, err := stat(f)
	if err != nil {
		r.waiting++
		return
	}
	if reason := r.p.strange(st); reason != "" {
		r.setAside(file, reason)
		return
	}
	if r.tired[st.Uid] {
		r.waiting++
		return
	}
	if r.taken[st.Uid]++; r.taken[st.Uid] > r.p.o.PerUser {
		r.more = true
		return
	}
	err = r.p.submit(ctx, f, st, name)
	if err == nil {
		r.remove(file)
		return
	}
	if reason := reasonFor(err); reason != "" {
		r.setAside(file, reason)
		return
	}
	r.waiting++
	var refusal *admission.Refusal
	if errors.As(err, &refusal) { // about this user or message, not about the queue
		r.tired[st.Uid] = true
		return
	}
	r.stopped = true
	r.warn("maildrop: a message could not be taken now", "file", file, "uid", st.Uid, "error", err)
}

// notOpened judges why a file could not be opened.
func (r *round) notOpened(file string, err error) {
	switch {
	case errors.Is(err, syscall.ENOENT): // its owner took it back
	case errors.Is(err, syscall.ELOOP):
		r.setAside(file, symlink)
	case errors.Is(err, syscall.EXDEV):
		r.fixed[notAFile]++ // mounted; nobody but its owner can remove it
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		r.setAside(file, unreadable)
	default: // EWOULDBLOCK: a lease on it; EMFILE, EIO …
		r.waiting++
		r.warn("maildrop: a file could not be opened now", "file", file, "error", err)
	}
}

// strange says why a file is not one that a writer left, "" if it is.
func (p *Pickup) strange(st *syscall.Stat_t) string {
	switch {
	case st.Mode&syscall.S_IFMT != syscall.S_IFREG:
		return notAFile
	case st.Nlink != 1:
		return linked
	case st.Mode&0o7777 != maildrop.FileMode, st.Gid != p.gid:
		// Made elsewhere, and moved or linked here: everything a writer makes here has
		// the directory's group.
		return foreign
	}
	return ""
}

// submit hands a file in for its owner.
func (p *Pickup) submit(ctx context.Context, f *os.File, st *syscall.Stat_t, name string) error {
	caller, err := p.caller(int(st.Uid))
	if err != nil {
		return err
	}
	limits := p.o.Door.Limits()
	most := caller.Grant.MaxSize
	if most <= 0 {
		most = p.o.Door.Settings().MaxSize
	}
	if most > 0 && st.Size > most+int64(limits.Block) {
		return queue.ErrTooLarge
	}
	content := &steady{f: f, st: st}
	br := bufio.NewReaderSize(content, 16<<10)
	env, err := submission.Read(br, limits)
	if err != nil {
		return err
	}
	_, err = p.o.Door.Submit(ctx, caller, admission.Request{
		Envelope: env, Content: br, Origin: queue.OriginSubmit, Key: maildrop.Key(name), Size: st.Size,
	})
	return err
}

var errNotAllowed = errors.New("pickup: this user may not submit")

// caller is the owner of a file, as the socket would know him.
func (p *Pickup) caller(uid int) (admission.Caller, error) {
	id := strconv.Itoa(uid)
	var groups []int
	u, lookup := user.LookupId(id)
	if lookup == nil && slices.ContainsFunc(p.o.Door.Settings().Rules, func(r admission.Rule) bool { return r.GID >= 0 }) {
		list, err := u.GroupIds()
		if err != nil {
			return admission.Caller{}, err
		}
		for _, g := range list {
			if n, err := strconv.Atoi(g); err == nil {
				groups = append(groups, n)
			}
		}
	}
	grant, ok := p.o.Door.GrantOf(uid, groups)
	if !ok {
		return admission.Caller{}, errNotAllowed
	}
	return admission.Caller{
		Name: "uid:" + id, Grant: grant, Client: queue.Client{Listener: "submit", Protocol: "local"},
		Login: func() string {
			if lookup != nil {
				return ""
			}
			return u.Username
		},
	}, nil
}

var errChanging = errors.New("pickup: the file is being changed")

// steady reads a file to the size it had; at the end it has to be as it was.
type steady struct {
	f  *os.File
	st *syscall.Stat_t
	n  int64
}

func (s *steady) Read(p []byte) (int, error) {
	left := s.st.Size - s.n
	if left > 0 {
		n, err := s.f.Read(p[:min(int64(len(p)), left)])
		s.n += int64(n)
		if errors.Is(err, io.EOF) && n == 0 {
			return 0, errChanging // it became shorter
		}
		return n, err
	}
	now, _, err := stat(s.f)
	switch {
	case err != nil:
		return 0, err
	case now.Size != s.st.Size || now.Mtim != s.st.Mtim || now.Ctim != s.st.Ctim || now.Nlink != 1:
		return 0, errChanging
	}
	return 0, io.EOF
}

// stat asks an open file, also when its owner changed it last.
func stat(f *os.File) (*syscall.Stat_t, time.Time, error) {
	var st syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &st); err != nil {
		return nil, time.Time{}, err
	}
	return &st, time.Unix(st.Ctim.Unix()), nil
}

// reasonFor is why a message is set aside, "" if it may be taken later: what is not known is
// temporary.
func reasonFor(err error) string {
	var form *submission.Error
	var refusal *admission.Refusal
	var reply smtp.Reply
	switch {
	case errors.Is(err, errNotAllowed):
		return notAllowed
	case errors.Is(err, errChanging):
		return changing
	case errors.As(err, &form) && form.TooLarge, errors.Is(err, queue.ErrTooLarge):
		return tooLarge
	case errors.As(err, &form), errors.Is(err, queue.ErrInvalid):
		return invalid
	case errors.Is(err, intake.ErrLoop):
		return mailLoop
	case errors.As(err, &refusal):
		return reasonOfRefusal(refusal)
	case errors.As(err, &reply) && reply.Permanent():
		return invalid
	}
	return ""
}

func reasonOfRefusal(r *admission.Refusal) string {
	switch {
	case r.Transient():
		return ""
	case r.Code == filterproto.CodeInvalidSubmission:
		return invalid
	case r.Code == filterproto.CodeMessageTooLarge:
		return tooLarge
	case r.Code == filterproto.CodeSubmissionForbidden:
		return notAllowed
	case r.Code == filterproto.CodeMessageRejected:
		return refused
	}
	return ""
}
