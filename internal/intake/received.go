package intake

import (
	"bytes"
)

// scanLimit is how far into a message Received fields are looked for.
const scanLimit = 1 << 20

// receivedCounter counts lines of the header section that begin with
// "Received:", across any split of the input, with constant memory. The header
// section ends with an empty line.
type receivedCounter struct {
	max  int // negative: do not count
	n    int
	seen int64
	col  int // octets of the line so far that matched; -1: the line is no match
	cr   bool
	done bool
}

const receivedName = "received:"

func (c *receivedCounter) over() bool { return c.max >= 0 && c.n > c.max }

func (c *receivedCounter) scan(p []byte) {
	if c.done || c.max < 0 {
		return
	}
	if left := scanLimit - c.seen; int64(len(p)) > left {
		p = p[:left]
	}
	c.seen += int64(len(p))
	for len(p) > 0 && !c.done {
		p = c.step(p)
	}
	c.done = c.done || c.seen >= scanLimit || c.over()
}

// step takes octets off the front of p: one while it compares, the rest of the
// line when the comparison is over.
func (c *receivedCounter) step(p []byte) []byte {
	if c.col < 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			return nil
		}
		c.col, c.cr = 0, false
		return p[i+1:]
	}
	switch b := p[0]; {
	case b == '\n':
		c.done = c.col == 0
		c.col, c.cr = 0, false
	case b == '\r' && c.col == 0 && !c.cr:
		c.cr = true
	case !c.cr && b|0x20 == receivedName[c.col]|0x20:
		if c.col++; c.col == len(receivedName) {
			c.n++
			c.col = -1
		}
	default:
		c.col = -1
	}
	return p[1:]
}
