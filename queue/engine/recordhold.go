package engine

import "mtad/queue"

// The forms of a stored hold. Records without an end other than a release are
// written as they always were.
const (
	noHold     = 0
	holdPlain  = 1
	holdEnding = 2 // Then follows
)

func (e *encoder) hold(h *queue.Hold) {
	switch {
	case h == nil:
		e.byte(noHold)
		return
	case h.Then == queue.HoldRelease:
		e.byte(holdPlain)
	default:
		e.byte(holdEnding)
	}
	e.str(h.By)
	e.str(h.Reason)
	e.time(h.Since)
	e.time(h.Until)
	if h.Then != queue.HoldRelease {
		e.byte(byte(h.Then))
	}
}

func (d *decoder) hold() *queue.Hold {
	form := d.byte()
	if form == noHold {
		return nil
	}
	if form > holdEnding {
		d.fail()
		return nil
	}
	h := &queue.Hold{By: d.str(), Reason: d.str(), Since: d.time(), Until: d.time()}
	if form == holdEnding {
		if h.Then = queue.HoldEnd(d.byte()); h.Then > queue.HoldBounce {
			d.fail()
		}
	}
	return h
}
