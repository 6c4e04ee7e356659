package filter

import (
	"slices"
	"time"
)

// missingPrefix begins the stage of a message whose door names a chain that is
// not configured. No filter can have such a name, so the message waits in sight.
const missingPrefix = "no-such-chain:"

// Plan says how a new message of a chain starts: its first stage ("" when it is
// not filtered), when its client gets the reply (a Timing), and how long the client
// waits. A chain that is not configured gives a stage that nobody claims: it is not
// a reason to let mail pass.
func (e *Engine) Plan(chain string) (stage string, timing int, wait time.Duration) {
	stage = e.First(chain)
	c, ok := e.chains[chain]
	if stage == "" || !ok {
		return stage, int(After), 0
	}
	return stage, int(c.Timing), c.Wait
}

// First is the stage where a re-scan of a chain starts; "" for no chain and for
// one without filters.
func (e *Engine) First(chain string) string {
	if chain == "" {
		return ""
	}
	c, ok := e.chains[chain]
	if !ok {
		return missingPrefix + chain
	}
	if len(c.Filters) == 0 {
		return ""
	}
	return c.Filters[0]
}

// next is the stage after stage; "" when the chain is through. ok is false when
// the chain is not configured. A stage that has left the chain starts it again:
// scanned twice is better than not at all.
func (e *Engine) next(chain, stage string) (next string, ok bool) {
	c, found := e.chains[chain]
	if !found {
		return "", false
	}
	i := slices.Index(c.Filters, stage)
	if i < 0 {
		return e.First(chain), true
	}
	if i+1 < len(c.Filters) {
		return c.Filters[i+1], true
	}
	return "", true
}

// FirstStages maps every chain to its first stage, for queue.Action.Stages.
func (e *Engine) FirstStages() map[string]string {
	m := make(map[string]string, len(e.chains))
	for name := range e.chains {
		if s := e.First(name); s != "" {
			m[name] = s
		}
	}
	return m
}

func (c Chain) withDefaults() Chain {
	c.Filters = slices.Clone(c.Filters)
	if c.Wait <= 0 {
		switch c.Timing {
		case Inline:
			c.Wait = defInlineWait
		case InlineThenPark:
			c.Wait = defParkWait
		}
	}
	return c
}
