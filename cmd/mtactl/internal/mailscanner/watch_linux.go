package mailscanner

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// watch wakes claims when the kernel reports that MailScanner made or removed their
// files. It is there to save time: who waits also looks by himself, so an event that
// is lost, or a kernel that grants no watch, costs Options.Poll.
func (b *bridge) watch(ctx context.Context) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		b.log.Warn("no inotify; polling", "error", err)
		return
	}
	f := os.NewFile(uintptr(fd), "inotify")
	defer f.Close()
	defer context.AfterFunc(ctx, func() { f.Close() })()
	for dir, mask := range map[string]uint32{b.x.out: unix.IN_MOVED_TO, b.x.in: unix.IN_DELETE | unix.IN_MOVED_FROM} {
		if _, err := unix.InotifyAddWatch(fd, dir, mask|unix.IN_ONLYDIR); err != nil {
			b.log.Warn("no inotify; polling", "dir", dir, "error", err)
		}
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := f.Read(buf)
		if err != nil {
			return
		}
		for _, name := range eventNames(buf[:n]) {
			b.poke(name)
		}
	}
}

// eventNames reads the file names of what inotify(7) reports.
func eventNames(b []byte) (names []string) {
	const head = unix.SizeofInotifyEvent
	for len(b) >= head {
		n := int(binary.NativeEndian.Uint32(b[head-4:]))
		if n > len(b)-head {
			return names
		}
		name, _, _ := bytes.Cut(b[head:head+n], []byte{0})
		names = append(names, string(name))
		b = b[head+n:]
	}
	return names
}
