package milterfilter

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"mtad/internal/milter/miltertest"
	"mtad/queue"
)

// TestRandomCrashesLeaveOneVerdictOfEachMilter: three milters that hang up, talk
// nonsense or stop in the middle of their edits, at random. Every message comes
// through with exactly one verdict, and one set of edits, of each.
func TestRandomCrashesLeaveOneVerdictOfEachMilter(t *testing.T) {
	var servers []*miltertest.Server
	for i := range 3 {
		s := miltertest.Start(t, []string{"tcp", "unix"}[i%2])
		var mu sync.Mutex
		random := rand.New(rand.NewPCG(1, uint64(i)))
		field := miltertest.Packet{Command: 'h', Data: miltertest.Strings("X-M"+string(rune('1'+i)), "seen")}
		s.Answer = func(p miltertest.Packet) packets {
			mu.Lock()
			defer mu.Unlock()
			switch n := random.IntN(100); {
			case p.Command == 'D' || p.Command == 'Q' || p.Command == 'O':
				return nil
			case n == 0:
				return packets{{Hangup: true}}
			case n == 1:
				return packets{field, {Raw: "\x00\x00\x00\x00"}}
			case n < 12 && p.Command == 'E':
				return packets{field, field, {Hangup: true}}
			case p.Command == 'E':
				return packets{field, {Command: 'c'}}
			}
			return nil
		}
		servers = append(servers, s)
	}
	r := newRig(t, nil, at(servers[0]), at(servers[1]), at(servers[2]))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				it := r.after(envelope(), plain)
				var by []string
				for _, v := range it.Verdicts {
					by = append(by, v.Filter)
				}
				got := r.content(it.ID)
				if !slices.Equal(by, []string{"m1", "m2", "m3"}) || it.State != queue.Incoming || it.Hold != nil {
					t.Errorf("%s: verdicts %v, %v, hold %+v", it.ID, by, it.State, it.Hold)
				}
				if want := strings.Replace(plain, "\r\n\r\n", "\r\nX-M1: seen\r\nX-M2: seen\r\nX-M3: seen\r\n\r\n", 1); got != want {
					t.Errorf("%s: %q", it.ID, got)
				}
			}
		})
	}
	wg.Wait()
}
