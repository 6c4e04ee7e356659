package qmgr

// order is what to claim of one class.
type order struct {
	max int
	// not, perHop and perHopMax are those of queue.ClaimSpec.
	not       map[string]bool
	perHop    int
	perHopMax map[string]int
}

const batch = 256 // items of one claim

// classLimit leaves a quarter of the active set to the other class, so that
// neither new mail nor retries can fill it.
func (c *core) classLimit() int { return c.activeLimit - c.activeLimit/4 }

// room is how many jobs of a class may be added.
func (c *core) room(cl class) int {
	return min(c.activeLimit-c.active[fresh]-c.active[retry], c.classLimit()-c.active[cl])
}

// spacious: there is room for a batch, and not just for a handful.
func (c *core) spacious(cl class) bool { return c.room(cl) >= min(c.activeLimit/16, batch) }

// order says what to claim now; max is 0 when nothing is.
func (c *core) order(cl class) order {
	if !c.spacious(cl) {
		return order{}
	}
	o := order{max: min(c.room(cl), batch), perHop: max(c.capacity(float64(c.initial))/2, 1)}
	for d := range c.crowded[cl] {
		c.restrict(&o, d, cl)
	}
	return o
}

// restrict bounds what may come for one destination. Several destinations with
// one next hop share the narrowest bound.
func (c *core) restrict(o *order, d *destination, cl class) {
	if c.full(d, cl) {
		if o.not == nil {
			o.not = map[string]bool{}
		}
		o.not[d.nextHop] = true
		return
	}
	if o.perHopMax == nil {
		o.perHopMax = map[string]int{}
	}
	room := c.capacity(d.window) - d.held[cl]
	if have, ok := o.perHopMax[d.nextHop]; !ok || room < have {
		o.perHopMax[d.nextHop] = room
	}
}

// capacity is how many jobs of one class a destination with this window may
// hold: enough to be busy until the next claim, and at most an eighth of the
// active set, so that one that is saturated cannot fill it.
func (c *core) capacity(window float64) int {
	return max(min(max(perSlot*int(window), minHeld), c.activeLimit/8), 1)
}

// full: nothing is claimed for it until a quarter of its capacity is free.
func (c *core) full(d *destination, cl class) bool {
	n := c.capacity(d.window)
	return n-d.held[cl] < max(n/4, 1)
}

// noteCrowd keeps crowded: those that hold something and could get more than
// their capacity from a claim that knows nothing of them.
func (c *core) noteCrowd(d *destination, cl class) {
	n, base := c.capacity(d.window), c.capacity(float64(c.initial))
	if d.held[cl] > 0 && d.held[cl]+max(base/2, 1) > n {
		c.crowded[cl][d] = struct{}{}
	} else {
		delete(c.crowded[cl], d)
	}
}
