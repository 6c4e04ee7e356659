// Command killtest sends mail through accept, pull filter and relay while mtad,
// and now and then the scanner, is killed with SIGKILL at random moments. It
// fails when an acknowledged message is missing or changed, or when there are
// more duplicates than the kills explain.
//
// With -chain three filters stand in a row (a pull scanner, a milter, one asked as
// rspamd is), each killed at random moments. It then fails as well unless every
// message has exactly one verdict of each filter on the generation that the one
// before left, from a scanner that saw it.
//
// Every attempt to send a message has a mark of its own, so that a client's
// retry after a lost reply is told apart from a duplicate made by mtad.
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

var (
	messages     = flag.Int("messages", 20000, "messages to send")
	connections  = flag.Int("connections", 50, "concurrent SMTP connections")
	kills        = flag.Int("kills", 6, "how often mtad is killed")
	binaries     = flag.String("bin", "", "directory with mtad and scanner")
	seed         = flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of the random choices")
	limit        = flag.Duration("limit", 10*time.Minute, "give up after this time")
	chained      = flag.Bool("chain", false, "a chain of three filters, whose scanners are killed, too; every verdict is checked")
	scannerKills = flag.Int("scanner-kills", 20, "with -chain: how often each scanner is killed")
)

func main() { os.Exit(run()) }

func run() int {
	flag.Parse()
	dir, err := os.MkdirTemp("/var/tmp", "killtest")
	if err != nil {
		fmt.Fprintln(os.Stderr, "killtest:", err)
		return 1
	}
	fmt.Printf("killtest: %d messages, %d connections, %d kills, seed %d\n", *messages, *connections, *kills, *seed)
	if err := killTest(dir); err != nil {
		fmt.Fprintf(os.Stderr, "killtest: %v\nkilltest: logs are in %s\n", err, dir)
		return 1
	}
	_ = os.RemoveAll(dir)
	return 0
}

func killTest(dir string) error {
	rnd := rand.New(rand.NewPCG(*seed, 1))
	s, err := newStage(dir)
	if err != nil {
		return err
	}
	defer s.stop()
	begin := time.Now()
	var sent ledger
	var done atomic.Bool
	var senders sync.WaitGroup
	var next atomic.Int64
	for range *connections {
		r := rand.New(rand.NewPCG(*seed, rnd.Uint64()))
		senders.Go(func() { send(s.smtp, &next, &sent, r, begin.Add(*limit)) })
	}
	go func() { senders.Wait(); done.Store(true) }()
	if *chained {
		return s.chainTest(rnd, &sent, &senders, begin)
	}
	killed, err := s.harass(rnd, &done, &sent)
	if err != nil {
		return err
	}
	senders.Wait()
	if n := sent.acknowledged(); n != *messages {
		return fmt.Errorf("%d of %d messages were accepted within %v", n, *messages, *limit)
	}
	accepted := time.Since(begin)
	if err := s.drain(begin.Add(*limit)); err != nil {
		return err
	}
	got, err := readDumps(filepath.Join(dir, "sink"))
	if err != nil {
		return err
	}
	return sent.judge(got, killed, accepted, time.Since(begin))
}

// chainTest is the part of killTest that differs with a chain.
func (s *stage) chainTest(rnd *rand.Rand, sent *ledger, senders *sync.WaitGroup, begin time.Time) error {
	var drained atomic.Bool
	var killed int
	harassed := make(chan error, 1)
	go func() {
		var err error
		killed, err = s.harassChain(rnd, &drained)
		harassed <- err
	}()
	senders.Wait()
	accepted := time.Since(begin)
	n := sent.acknowledged()
	err := s.drain(begin.Add(*limit))
	drained.Store(true)
	if herr := <-harassed; err == nil {
		err = herr
	}
	if err != nil {
		return err
	}
	if n != *messages {
		return fmt.Errorf("%d of %d messages were accepted within %v", n, *messages, *limit)
	}
	if err := s.drain(begin.Add(*limit)); err != nil { // the last kill may have come after the first
		return err
	}
	fmt.Printf("killtest: %d accepted in %v, drained after %v, mtad was killed %d times\n",
		n, accepted.Round(time.Millisecond), time.Since(begin).Round(time.Millisecond), killed)
	got, err := readDumps(filepath.Join(s.dir, "sink"))
	if err != nil {
		return err
	}
	return s.judgeChain(sent, got, killed)
}

// stage is everything that runs: sink, scanner, mtad.
type stage struct {
	dir, smtp, api, config string
	sink, scanner, mtad    *exec.Cmd
	chain                  map[string]*exec.Cmd // scanners by kind, with -chain
	log                    *os.File
}

func (s *stage) spawn(name string, args ...string) (*exec.Cmd, error) {
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	return cmd, cmd.Start()
}

func reap(cmd *exec.Cmd) {
	if cmd != nil && cmd.Process != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

func (s *stage) stop() {
	reap(s.scanner)
	for _, c := range s.chain {
		reap(c)
	}
	reap(s.mtad)
	reap(s.sink)
	s.log.Close()
}

// harass kills mtad and the scanner while mail is sent, each kill after a share
// of the messages was accepted, and starts them again at once.
func (s *stage) harass(rnd *rand.Rand, done *atomic.Bool, sent *ledger) (killed int, err error) {
	for i := range *kills {
		mark := *messages * (i + 1) / (*kills + 1)
		for sent.acknowledged() < mark && !done.Load() {
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(time.Duration(rnd.IntN(300)) * time.Millisecond)
		reap(s.mtad)
		killed++
		if i%2 == 1 {
			reap(s.scanner)
			if err := s.startScanner(); err != nil {
				return killed, err
			}
		}
		begin := time.Now()
		if err := s.startMtad(); err != nil {
			return killed, fmt.Errorf("start after kill %d: %w", killed, err)
		}
		fmt.Printf("killtest: kill %d after %d messages, greeting again after %v\n", killed, sent.acknowledged(), time.Since(begin).Round(time.Millisecond))
	}
	return killed, nil
}
