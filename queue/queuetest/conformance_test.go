package queuetest

import (
	"testing"

	"mtad/queue"
)

// modelSubject is a Model as the suite wants it; a crash undoes every change
// that was not synced.
func modelSubject(*testing.T) *Subject {
	clock := NewClock()
	m := NewModel(ModelOptions{Clock: clock, KeepLazy: true, MaxClaims: 5})
	return &Subject{
		Queue: m, Now: clock.Now, Advance: clock.Advance, MaxClaims: 5,
		Crash: func() queue.Queue {
			m = m.Crash(m.Lazy())
			return m
		},
	}
}

func TestModelConforms(t *testing.T) { RunSubject(t, modelSubject) }

func TestModelConformsOnTheSystemClock(t *testing.T) {
	Run(t, func(*testing.T) queue.Queue { return NewModel() })
}

func TestModelKeepsStepWithItself(t *testing.T) { RunHistories(t, modelSubject) }
