package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// chainConfig has a filter of each way of working: one that claims, one that
// speaks a protocol of many steps, one that is asked once. Failures park, and
// nothing becomes poison by the kills.
const chainConfig = `hostname: mx.example.com
spool: {directory: %[1]s/spool}
listeners:
  smtp: {address: "%[2]s", chain: scan}
smarthost: "%[3]s"
filters:
  pull: {kind: pull, lease: 5s, retry_delay: 1s, max_claims: 99}
  milter: {kind: milter, address: "unix:%[1]s/milter.sock", retry_delay: 1s, max_claims: 99}
  rspamd: {kind: rspamd, address: "unix:%[1]s/rspamd.sock", retry_delay: 1s, max_claims: 99}
chains: {scan: {filters: [pull, milter, rspamd]}}
queue: {lease: 10s, max_claims: 100}
delivery: {concurrency: %[4]d, destination_initial: 20, destination_max: %[4]d, min_backoff: 1s, max_backoff: 2s}
api: {listen: [], unix: %[1]s/api.sock}
`

// kinds are the filters of the chain, in order.
var kinds = []string{"pull", "milter", "rspamd"}

// discards says who throws message n away; chainscan has the same rule.
func discards(n int) (kind string, yes bool) {
	switch n % 50 {
	case 7:
		return "pull", true
	case 13:
		return "milter", true
	}
	return "", false
}

func (s *stage) journal(kind string) string { return filepath.Join(s.dir, "seen-"+kind) }

// seen is how many messages a scanner has written down.
func (s *stage) seen(kind string) int {
	fi, err := os.Stat(s.journal(kind))
	if err != nil {
		return 0
	}
	return int(fi.Size() / journalLine)
}

const journalLine = 16 // octets

func (s *stage) startChain() error {
	for _, kind := range kinds {
		if err := s.startKind(kind); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) startKind(kind string) error {
	socket := s.api
	if kind != "pull" {
		socket = filepath.Join(s.dir, kind+".sock")
	}
	cmd, err := s.spawn(filepath.Join(*binaries, "chainscan"), kind, socket, s.journal(kind))
	s.chain[kind] = cmd
	return err
}

// harassChain kills each scanner, and mtad, again and again while the chain is at
// work: each time after a share of the messages came as far as there. It returns
// the kills of mtad.
func (s *stage) harassChain(rnd *rand.Rand, drained *atomic.Bool) (killed int, err error) {
	var wg sync.WaitGroup
	errs := make([]error, len(kinds)+1)
	for i, kind := range kinds {
		r := rand.New(rand.NewPCG(rnd.Uint64(), 3))
		wg.Go(func() {
			n := 0
			n, errs[i] = s.harassOne(r, drained, kind, *scannerKills, func() error {
				reap(s.chain[kind])
				time.Sleep(time.Duration(r.IntN(200)) * time.Millisecond)
				return s.startKind(kind)
			})
			fmt.Printf("killtest: %s was killed %d times\n", kind, n)
		})
	}
	wg.Go(func() {
		r := rand.New(rand.NewPCG(rnd.Uint64(), 4))
		killed, errs[len(kinds)] = s.harassOne(r, drained, kinds[len(kinds)-1], *kills, func() error {
			reap(s.mtad)
			return s.startMtad()
		})
	})
	wg.Wait()
	for _, e := range errs {
		if e != nil {
			return killed, e
		}
	}
	return killed, nil
}

// harassOne strikes count times, each when a scanner has seen another share of
// the messages.
func (s *stage) harassOne(rnd *rand.Rand, drained *atomic.Bool, kind string, count int, strike func() error) (n int, err error) {
	for ; n < count; n++ {
		mark := *messages * (n + 1) / (count + 1) * 9 / 10
		for s.seen(kind) < mark {
			if drained.Load() {
				return n, nil
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(rnd.IntN(50)) * time.Millisecond)
		if err := strike(); err != nil {
			return n, err
		}
	}
	return n, nil
}
