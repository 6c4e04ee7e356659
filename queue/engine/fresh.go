package engine

// freshCache keeps items that were written a moment ago: the next step of a
// message usually follows at once.
type freshCache struct {
	items map[key]*rec
	ring  []key
	next  int
}

const freshItems = 2048

func (c *freshCache) reset() {
	c.items = make(map[key]*rec)
	c.ring = nil
	c.next = 0
}

func (c *freshCache) get(k key) *rec { return c.items[k] }
func (c *freshCache) drop(k key)     { delete(c.items, k) }

// put keeps r unless it is large: the memory is bounded in octets, too.
func (c *freshCache) put(k key, r *rec) {
	if len(r.Envelope.Recipients) > 8 || len(r.Meta) > 16 {
		return
	}
	if _, ok := c.items[k]; ok {
		c.items[k] = r
		return
	}
	if len(c.ring) < freshItems {
		c.ring = append(c.ring, k)
	} else {
		delete(c.items, c.ring[c.next])
		c.ring[c.next] = k
		c.next = (c.next + 1) % freshItems
	}
	c.items[k] = r
}
