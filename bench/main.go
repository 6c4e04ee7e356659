package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

var (
	connections = flag.Int("connections", 50, "concurrent SMTP connections")
	size        = flag.Int("size", 10240, "octets of a message")
	messages    = flag.Int("messages", 10000, "messages of one measurement")
	rounds      = flag.Int("rounds", 3, "measurements of each figure; the median counts")
	only        = flag.String("only", "", "run one system: mtad or postfix")
	scenario    = flag.String("scenario", "", "run one scenario: accept, relay or filter; overhead, what filters that do nothing cost; or command, what a run of sendmail costs")
	out         = flag.String("out", "spec/benchmarks.md", "the report; empty: standard output only")
	figures     = flag.String("figures", "", "file that figures of the overhead are added to, for medians over several runs")
	compare     = flag.String("compare", "", "with -scenario overhead: beside no filter measure these alone, as in \"pull;milter, after\"")
	keep        = flag.Bool("keep", false, "keep the directories with the logs")
	profile     = flag.String("profile", "", "write a CPU profile of mtad to this file (with -only mtad and -scenario)")
)

func main() { os.Exit(run()) }

func run() int {
	flag.Parse()
	for _, tool := range []string{"smtp-source", "smtp-sink", "postfix"} {
		if _, err := exec.LookPath(tool); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err, "(Debian: apt-get install postfix)")
			return 1
		}
	}
	b, err := newBench()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	if !*keep {
		defer os.RemoveAll(b.dir)
	}
	if err := b.all(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err, "in", b.dir)
		return 1
	}
	return b.report()
}

// system is an MTA under measurement.
type system interface {
	address() string
	memory() int64 // peak, bytes
	stop()
}

// figure is what one measurement gave.
type figure struct {
	rate     float64 // messages per second
	p50, p99 time.Duration
	memory   int64
	syncs    float64 // WAL syncs per message; mtad only
}

type key struct{ scenario, system string }

type bench struct {
	dir, bin string
	wire     []float64
	figures  map[key][]figure
	trials   map[key][]trial
}

var scenarios = []string{"accept", "relay", "filter"}

func newBench() (*bench, error) {
	dir, err := os.MkdirTemp("/var/tmp", "bench")
	if err != nil {
		return nil, err
	}
	// Postfix's daemons look at their directories under their own user.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	b := &bench{dir: dir, bin: filepath.Join(dir, "bin"), figures: map[key][]figure{}, trials: map[key][]trial{}}
	build := exec.Command("go", "build", "-o", b.bin+"/", "./cmd/mtad", "./bench/scanner", "./bench/milter", "./bench/handler")
	build.Stderr = os.Stderr
	return b, build.Run()
}

// all measures the scenarios, then the overhead of filters.
func (b *bench) all() error {
	if *scenario == "command" {
		return b.command()
	}
	if *scenario != "overhead" {
		if err := b.measure(); err != nil {
			return err
		}
	}
	if *scenario != "" && *scenario != "overhead" {
		return nil
	}
	return b.overhead()
}

func (b *bench) measure() error {
	for round := range *rounds {
		if *only == "" && *scenario == "" {
			rate, err := measureWire()
			if err != nil {
				return err
			}
			b.wire = append(b.wire, rate)
			fmt.Printf("round %d wire %.0f msgs/s\n", round+1, rate)
		}
		for _, sc := range scenarios {
			for _, sys := range []string{"postfix", "mtad"} {
				if *only != "" && *only != sys || *scenario != "" && *scenario != sc {
					continue
				}
				f, err := b.one(sc, sys, round)
				if err != nil {
					return fmt.Errorf("%s %s: %w", sys, sc, err)
				}
				fmt.Printf("round %d %-7s %-7s %6.0f msgs/s p50 %v p99 %v memory %d MB syncs/msg %.2f\n", round+1, sc, sys, f.rate, f.p50.Round(100*time.Microsecond), f.p99.Round(100*time.Microsecond), f.memory>>20, f.syncs)
				b.figures[key{sc, sys}] = append(b.figures[key{sc, sys}], f)
			}
		}
	}
	return nil
}

func measureWire() (float64, error) {
	s, err := startSink()
	if err != nil {
		return 0, err
	}
	defer s.stop()
	begin := time.Now()
	if err := source(s.addr, *messages); err != nil {
		return 0, err
	}
	return float64(*messages) / time.Since(begin).Seconds(), nil
}

func (b *bench) one(sc, sys string, round int) (figure, error) {
	var f figure
	s, err := startSink()
	if err != nil {
		return f, err
	}
	defer s.stop()
	dir := filepath.Join(b.dir, fmt.Sprintf("%s-%s-%d", sys, sc, round))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return f, err
	}
	mta, err := b.start(sc, sys, dir, s.addr)
	if err != nil {
		return f, err
	}
	defer mta.stop()
	relayed := sc != "accept"
	drive := func(n int) error {
		before := s.received.Load()
		if err := source(mta.address(), n); err != nil {
			return err
		}
		if relayed {
			return s.awaitCount(before, int64(n))
		}
		return nil
	}
	if err := drive(*messages / 10); err != nil { // warm: connections, caches, processes
		return f, fmt.Errorf("warm-up: %w", err)
	}
	m, _ := mta.(*mtad)
	syncs := m.syncs()
	profiled := make(chan error, 1)
	if m != nil && *profile != "" {
		go func() { profiled <- m.profileTo(*profile, 5) }()
	} else {
		profiled <- nil
	}
	begin := time.Now()
	if err := drive(*messages); err != nil {
		return f, err
	}
	if err := <-profiled; err != nil {
		return f, err
	}
	f.rate = float64(*messages) / time.Since(begin).Seconds()
	f.syncs = (m.syncs() - syncs) / float64(*messages)
	f.memory = mta.memory()
	if !relayed {
		f.p50, f.p99, err = acceptLatency(mta.address(), *messages/2)
	}
	return f, err
}

func (b *bench) start(sc, sys, dir, next string) (system, error) {
	if sys == "postfix" {
		return b.startPostfix(dir, next, sc)
	}
	return b.startMtad(dir, next, sc)
}

// median is by rate.
func median(fs []figure) figure {
	fs = slices.Clone(fs)
	slices.SortFunc(fs, func(a, b figure) int { return int(a.rate - b.rate) })
	return fs[len(fs)/2]
}
