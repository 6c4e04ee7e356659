// Package queuetest holds what proves a queue.Queue: a plain model of it, a
// conformance suite that every implementation runs, random histories compared
// with the model, a small command language for written histories, and a wrapper
// that makes chosen calls fail. It is imported by tests only.
//
// An implementation runs everything in ten lines:
//
//	func TestConformance(t *testing.T) {
//		queuetest.RunSubject(t, func(t *testing.T) *queuetest.Subject {
//			fs := vfs.NewCrashableMem()
//			clock := queuetest.NewClock()
//			return &queuetest.Subject{
//				Queue:   open(t, fs, clock),
//				Clock:   clock,
//				Crash:   func() queue.Queue { fs = fs.CrashClone(...); return open(t, fs, clock) },
//			}
//		})
//	}
//
// The model, from NewModel, may stand in for a queue in the tests of any other
// package. It keeps everything in memory, is safe for concurrent use, and
// favours clarity over speed.
package queuetest
