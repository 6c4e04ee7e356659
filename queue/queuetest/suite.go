package queuetest

import (
	"testing"
	"time"

	"mtad/queue"
)

// Subject is a queue under test, empty, and what the tests may do to it.
type Subject struct {
	Queue queue.Queue
	// Now and Advance are the clock the queue lives by. Without Advance, tests
	// that need time to pass are skipped; without Now it is time.Now.
	Now     func() time.Time
	Advance func(time.Duration)
	// Crash stops the queue as a power cut does, opens what is left and returns it.
	// Without it, tests of crashes are skipped.
	Crash func() queue.Queue
	// MaxClaims is how many lost claims make a message poison; 0 stands for 5.
	MaxClaims int

	rewrite bool // answers of a written history are taken, not compared
}

func (s *Subject) maxClaims() int {
	if s.MaxClaims == 0 {
		return 5
	}
	return s.MaxClaims
}

// need says what a test asks of its Subject.
type need uint8

const (
	nothing need = 0
	advance need = 1 << iota
	crash
)

// behaviour is one test of the suite.
type behaviour struct {
	name string
	need need
	test func(*rig)
}

// suite is every behaviour, by topic.
func suite() map[string][]behaviour {
	return map[string][]behaviour{
		"create":   createTests,
		"stage":    stageTests,
		"claim":    claimTests,
		"fairness": fairnessTests,
		"wake":     wakeTests,
		"lease":    leaseTests,
		"apply":    applyTests,
		"move":     moveTests,
		"ops":      opsTests,
		"hold":     holdTests,
		"split":    splitTests,
		"content":  contentTests,
		"bounds":   boundsTests,
		"read":     readTests,
		"list":     listTests,
		"count":    countTests,
		"bulk":     bulkTests,
		"watch":    watchTests,
		"close":    closeTests,
		"crash":    crashTests,
	}
}

// Run is RunSubject for a queue whose clock cannot be moved and that cannot be
// crashed.
func Run(t *testing.T, open func(t *testing.T) queue.Queue) {
	t.Helper()
	RunSubject(t, func(t *testing.T) *Subject { return &Subject{Queue: open(t)} })
}

// RunSubject runs every behaviour of the suite, and every written history, on a
// queue of its own.
func RunSubject(t *testing.T, open func(t *testing.T) *Subject) {
	for topic, behaviours := range suite() {
		t.Run(topic, func(t *testing.T) {
			for _, b := range behaviours {
				t.Run(b.name, func(t *testing.T) { b.run(t, open(t)) })
			}
		})
	}
	t.Run("history", func(t *testing.T) { runFiles(t, open) })
}

func (b behaviour) run(t *testing.T, s *Subject) {
	r := &rig{T: t, Subject: s, q: s.Queue}
	t.Cleanup(func() { r.q.Close() })
	if b.need&advance != 0 && s.Advance == nil {
		t.Skip("the clock cannot be moved")
	}
	if b.need&crash != 0 && s.Crash == nil {
		t.Skip("cannot be crashed")
	}
	b.test(r)
}
