package mailscanner

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

// orphanAge is how old an answer has to be to be removed when its instance has no lock
// file: the instance may live all the same, should somebody have removed that by hand.
const orphanAge = 10 * time.Minute

// keepSweeping sweeps until ctx ends. Without a lock file the bridge cannot go on: it
// would never again know why a file is gone.
func (b *bridge) keepSweeping(ctx context.Context, fail context.CancelCauseFunc) {
	tick := time.NewTicker(10 * b.o.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if !b.self.alive() {
				fail(errDisowned)
				return
			}
			b.sweep()
		}
	}
}

// sweep removes files of claims that have ended: of this instance, when nobody waits
// for them, and of instances that are dead.
func (b *bridge) sweep() {
	in, out := b.list(b.x.in), b.list(b.x.out)
	var instances []string
	for _, file := range in {
		if name, ok := instanceOf(file); ok && name != b.self.name {
			instances = append(instances, name)
		}
	}
	dead := make(map[string]bool)
	for _, name := range instances {
		path := filepath.Join(b.x.in, lockPrefix+name)
		lock := lockDead(path)
		if lock == nil {
			continue
		}
		dead[name] = true
		if b.bury(name, in, out) {
			b.log.Info("removed the files of an instance that is dead", "instance", name)
			_ = os.Remove(path)
		}
		lock.Close()
	}
	b.bury(b.self.name, in, out)
	b.removeOrphans(out, append(instances, b.self.name))
}

func (b *bridge) list(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		b.log.Warn("sweep", "error", err)
	}
	out := make([]string, len(entries))
	for i, e := range entries {
		out[i] = e.Name()
	}
	return out
}

// bury removes the files of an instance that nobody waits for. It reports whether none
// is left that MailScanner works on.
func (b *bridge) bury(instance string, in, out []string) bool {
	all := true
	for _, file := range in {
		name := file
		if rest, ok := unfinished(file); ok {
			name = rest
		}
		if b.isLeft(name, instance) {
			all = removeUnlocked(filepath.Join(b.x.in, file)) && all
		}
	}
	for _, file := range out {
		if name, ok := ofTemp(file); ok && b.isLeft(name, instance) {
			all = removeUnlocked(filepath.Join(b.x.out, file)) && all
		} else if b.isLeft(file, instance) {
			b.removeAnswer(file)
		}
	}
	return all
}

func (b *bridge) isLeft(name, instance string) bool {
	owner, ok := ownerOf(name)
	return ok && owner == instance && !b.expects(name)
}

// unfinished returns the name inside "temp-NAME", which put has not renamed.
func unfinished(file string) (name string, ok bool) {
	if len(file) < len("temp-") || file[:len("temp-")] != "temp-" {
		return "", false
	}
	return file[len("temp-"):], true
}

// removeAnswer removes out/NAME. MailScanner opens and locks all files there after
// each batch, for a moment and without an aim: that is no hindrance.
func (b *bridge) removeAnswer(name string) { _ = os.Remove(b.x.outPath(name)) }

// removeOrphans removes old answers to instances without a lock file. Their files in
// in/ stay: an instance that lives would take their end for MailScanner's doing.
func (b *bridge) removeOrphans(out []string, known []string) {
	has := make(map[string]bool)
	for _, name := range known {
		has[name] = true
	}
	for _, file := range out {
		name := file
		if rest, ok := ofTemp(file); ok {
			name = rest
		}
		owner, ok := ownerOf(name)
		if !ok {
			b.warnOnce(file)
			continue
		}
		path := filepath.Join(b.x.out, file)
		if st, err := os.Lstat(path); !has[owner] && err == nil && time.Since(st.ModTime()) > orphanAge {
			removeUnlocked(path)
		}
	}
}

// warnOnce says that a file is not the bridge's. It stays where it is.
func (b *bridge) warnOnce(file string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.warned) < 1000 && !b.warned[file] {
		b.warned[file] = true
		b.log.Warn("not a file of the bridge's; it is left alone", "file", filepath.Join(b.x.out, file))
	}
}
