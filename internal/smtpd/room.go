package smtpd

import "sync/atomic"

// Room is what several Servers have in common: the number of connections that
// all of them together may have, such as the process has descriptors for. Safe
// for concurrent use.
type Room struct {
	max  int64
	open atomic.Int64
}

// NewRoom makes a Room for max connections.
func NewRoom(max int) *Room { return &Room{max: int64(max)} }

// enter takes a place, also when there is none: false says so. leave gives it
// back in either case.
func (r *Room) enter() bool { return r == nil || r.open.Add(1) <= r.max }

func (r *Room) leave() {
	if r != nil {
		r.open.Add(-1)
	}
}

// stressed says that most places are taken.
func (r *Room) stressed() bool { return r != nil && r.open.Load() > r.max/4*3 }
