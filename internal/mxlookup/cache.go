package mxlookup

import (
	"container/list"
	"sync"
	"time"
)

// question is what an answer is kept under.
type question struct {
	name  string
	qtype uint16
}

// cached is an answer or a failure, until it expires.
type cached struct {
	q       question
	answer  answer
	err     error
	expires time.Time
}

// cache keeps a bounded number of answers; the one unused longest goes first.
type cache struct {
	mu     sync.Mutex
	max    int
	order  *list.List // of *cached, newest use in front
	byName map[question]*list.Element
}

func newCache(max int) *cache {
	return &cache{max: max, order: list.New(), byName: map[question]*list.Element{}}
}

func (c *cache) get(q question, now time.Time) (*cached, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.byName[q]
	if !ok {
		return nil, false
	}
	e := el.Value.(*cached)
	if !now.Before(e.expires) {
		c.drop(el)
		return nil, false
	}
	c.order.MoveToFront(el)
	return e, true
}

func (c *cache) put(e *cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.byName[e.q]; ok {
		c.drop(el)
	}
	c.byName[e.q] = c.order.PushFront(e)
	for c.order.Len() > c.max {
		c.drop(c.order.Back())
	}
}

func (c *cache) drop(el *list.Element) {
	c.order.Remove(el)
	delete(c.byName, el.Value.(*cached).q)
}

func (c *cache) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.order.Len()
}
