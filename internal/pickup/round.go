package pickup

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"mtad/internal/maildrop"
)

// Reasons why a file is set aside. They are shown in the status.
const (
	notAFile   = "not_a_file"   // a directory, FIFO, socket, device, or a file system mounted there
	symlink    = "symlink"      // a symbolic link
	linked     = "linked"       // a file with more than one name
	foreign    = "foreign"      // not made by a writer: another name, group or mode
	unreadable = "unreadable"   // mtad may not read it
	halfMade   = "half_written" // begun long ago and never finished
	tooLarge   = "too_large"
	invalid    = "invalid" // not the submission format, or an envelope that cannot be
	changing   = "changing"
	notAllowed = "not_allowed" // submission.allow
	mailLoop   = "mail_loop"
	refused    = "refused" // by a filter
)

// Bounds of what one pass logs about files, and of the files whose line is not
// repeated in the next.
const (
	maxLines = 100
	maxStays = 1000
)

// round is one pass.
type round struct {
	p       *Pickup
	taken   map[uint32]int  // by user
	tired   map[uint32]bool // users who have to wait
	fixed   map[string]int  // could not be moved aside, by reason
	stays   map[string]bool // those, by name
	waiting int
	more    bool
	stopped bool // the queue takes nothing now
	lines   int
}

func (r *round) warn(msg string, args ...any) {
	if r.lines++; r.lines <= maxLines {
		r.p.log.Warn(msg, args...)
	}
}

// entry handles one entry of the directory. Its type comes from there: what is no
// regular file is not even looked at.
func (r *round) entry(ctx context.Context, e fs.DirEntry) {
	file := e.Name()
	switch {
	case e.Type() == fs.ModeSymlink:
		r.setAside(file, symlink)
	case !e.Type().IsRegular():
		r.setAside(file, notAFile)
	case maildrop.Partial(file):
		r.partial(file)
	default:
		name, ok := maildrop.Name(file)
		if !ok {
			r.setAside(file, foreign)
			return
		}
		r.take(ctx, file, name)
	}
}

// partial sets a file aside that nobody goes on writing. When it was changed last
// is what the system says: a writer cannot set it.
func (r *round) partial(file string) {
	f, err := openIn(r.p.in, file)
	if err != nil {
		return // it was finished, or is nothing to us yet
	}
	defer f.Close()
	if _, changed, err := stat(f); err == nil && r.p.o.Now().Sub(changed) > r.p.o.Stale {
		r.setAside(file, halfMade)
	}
}

// setAside moves a file to where only mtad sees it.
func (r *round) setAside(file, reason string) {
	p := r.p
	owner := ownerIn(p.in, file)
	name := asideName(reason, owner)
	err := p.room()
	if err == nil {
		err = os.Rename(filepath.Join(p.in, file), filepath.Join(p.away, name))
	}
	switch {
	case err == nil:
		r.warn("maildrop: a file was set aside", "file", file, "uid", owner, "reason", reason, "as", name)
	case errors.Is(err, fs.ErrNotExist):
	default:
		r.fixed[reason]++
		if len(r.stays) < maxStays {
			r.stays[file] = true
		}
		if p.stays[file] {
			return // it was there in the last pass
		}
		r.warn("maildrop: a file that cannot be taken stays", "file", file, "uid", owner, "reason", reason, "error", err)
	}
}

var errAsideFull = errors.New("too many are set aside")

// room says whether one more can be set aside.
func (p *Pickup) room() error {
	names, err := readSome(p.away, p.o.MaxAside)
	if err == nil && len(names) >= p.o.MaxAside {
		return errAsideFull
	}
	return nil
}

// remove removes a message that is in the queue.
func (r *round) remove(file string) {
	if err := os.Remove(filepath.Join(r.p.in, file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.waiting++
		r.warn("maildrop: a message that was taken stays", "file", file, "error", err)
	}
}
