// Package queuetest holds what proves a queue.Queue: a plain model of it, a
// conformance suite that every implementation runs, random histories compared
// with the model, a small command language for written histories, and a wrapper
// that makes chosen calls fail. It is imported by tests only.
//
// An implementation runs everything in ten lines:
//
//	func subject(t *testing.T) *queuetest.Subject {
//		disk, clock := newDisk(), queuetest.NewClock()
//		return &queuetest.Subject{
//			Queue: open(t, disk, clock.Now), Now: clock.Now, Advance: clock.Advance,
//			Crash: func() queue.Queue { disk = disk.AfterPowerCut(); return open(t, disk, clock.Now) },
//		}
//	}
//	func TestConformance(t *testing.T)     { queuetest.RunSubject(t, subject) }
//	func TestRandomHistories(t *testing.T) { queuetest.RunHistories(t, subject) }
//
// A Subject without a clock or crashes runs what does not need them; Run is for
// those. Written histories are testdata/*.txt; after a change of the model,
// go test ./queue/queuetest -run TestRewriteHistories -rewrite writes them anew.
//
// The model, from NewModel, may stand in for a queue in the tests of any other
// package. It keeps everything in memory, is safe for concurrent use, and
// favours clarity over speed.
package queuetest
