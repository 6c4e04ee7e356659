package app

import (
	"syscall"

	"mtad/internal/smtpd"
)

// maxReserve is how many descriptors are kept for the store, the API and
// deliveries. Of a small limit it is half.
const maxReserve = 1024

// sessionsFor says how many SMTP sessions fit under a limit of descriptors.
func sessionsFor(limit uint64) int {
	limit = min(limit, 1<<30)
	return int(limit - min(limit/2, maxReserve))
}

// makeRoom bounds the sessions of all listeners by the descriptors of the
// process: whoever fills the listeners must not stop the store, deliveries and
// mtactl.
func (a *App) makeRoom() {
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) != nil {
		return
	}
	n := sessionsFor(r.Cur)
	a.room = smtpd.NewRoom(n)
	for name, l := range a.cfg.Listeners {
		if l.Limits.Connections > n {
			a.log.Info("fewer connections than configured fit under the limit of open files",
				"listener", name, "connections", l.Limits.Connections, "possible", n, "open_files", r.Cur)
		}
	}
}
