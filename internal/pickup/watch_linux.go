package pickup

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// openIn opens a file of dir to read: no link is followed, nothing is waited for, and no
// other file system is entered, whose owner could let us wait without end.
func openIn(dir, file string) (*os.File, error) {
	const flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	fd, err := openat(dir, file, flags, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), filepath.Join(dir, file)), nil
}

func openat(dir, file string, flags, resolve uint64) (int, error) {
	d, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(d)
	fd, err := unix.Openat2(d, file, &unix.OpenHow{Flags: flags, Resolve: resolve | unix.RESOLVE_NO_XDEV | unix.RESOLVE_BENEATH})
	if errors.Is(err, unix.ENOSYS) { // before Linux 5.6, or kept from us
		fd, err = unix.Openat(d, file, int(flags), 0)
	}
	return fd, err
}

// ownerIn is the owner of an entry of dir of any kind, for logs; -1: nobody knows.
func ownerIn(dir, file string) int {
	fd, err := openat(dir, file, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return -1
	}
	return int(st.Uid)
}

// watch tells of files that were finished in dir, until ctx ends; then done is closed.
// Without inotify(7) nothing is ever told, and the slow rescan finds them.
func watch(ctx context.Context, dir string, log *slog.Logger) (told <-chan struct{}, done chan struct{}) {
	tell, done := make(chan struct{}, 1), make(chan struct{})
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		log.Warn("maildrop: no notifications; it is looked at now and then", "error", err)
		close(done)
		return tell, done
	}
	f := os.NewFile(uintptr(fd), "inotify")
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MOVED_TO|unix.IN_ONLYDIR); err != nil {
		log.Warn("maildrop: no notifications; it is looked at now and then", "error", err)
		f.Close()
		close(done)
		return tell, done
	}
	context.AfterFunc(ctx, func() { f.Close() })
	go func() {
		defer close(done)
		buf := make([]byte, 16<<10)
		for {
			if _, err := f.Read(buf); err != nil {
				return
			}
			select {
			case tell <- struct{}{}:
			default:
			}
		}
	}()
	return tell, done
}
