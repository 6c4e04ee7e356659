package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// goal is what the ratio to Postfix has to be, and the aim behind it.
var goal = map[string][2]float64{"accept": {4, 5}, "relay": {4, 5}, "filter": {6, 8}}

// The report has a part that people write, then this program's, then that of
// bench/limits; each begins with its mark.
const (
	generatedMark = "<!-- below: measured by `make bench` -->\n"
	overheadMark  = "<!-- below: measured by `make bench`, too -->\n"
	limitsMark    = "<!-- below: measured by `make limits` -->\n"
)

// report prints the tables and puts them into the file, below their marks. What was
// not measured stays.
func (b *bench) report() int {
	var beside, cost string
	if len(b.figures) > 0 {
		beside = b.table()
	}
	if len(b.trials) > 0 {
		cost = b.overheadTable()
	}
	fmt.Print(beside, cost)
	if *out == "" || *only != "" && *figures == "" || *scenario != "" && *scenario != "overhead" {
		return 0
	}
	old, err := os.ReadFile(*out)
	if err != nil && !os.IsNotExist(err) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	rest, limits, _ := strings.Cut(string(old), limitsMark)
	rest, oldCost, _ := strings.Cut(rest, overheadMark)
	head, oldBeside, found := strings.Cut(rest, generatedMark)
	if !found {
		head = "# Benchmarks\n\n"
	}
	if beside != "" {
		oldBeside = beside + "\n"
	}
	if cost != "" {
		oldCost = cost + "\n"
	}
	if err := os.WriteFile(*out, []byte(head+generatedMark+oldBeside+overheadMark+oldCost+limitsMark+limits), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

func (b *bench) table() string {
	var w strings.Builder
	fmt.Fprintf(&w, "\n## Beside Postfix, one run\n%s, %d cores (%s), %d connections, messages of %d octets, %d a measurement, median of %d.\n\n",
		time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), cpuModel(), *connections, *size, *messages, *rounds)
	if len(b.wire) > 0 {
		slices.Sort(b.wire)
		fmt.Fprintf(&w, "The wire alone, `smtp-source` straight into `smtp-sink`: %.0f messages/s.\n\n", b.wire[len(b.wire)/2])
	}
	w.WriteString("| | Postfix msgs/s | mtad msgs/s | ratio | asked, aim | p50 / p99 of the accept, Postfix | mtad | peak memory, Postfix | mtad | syncs per message |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for _, sc := range scenarios {
		p, m := b.figures[key{sc, "postfix"}], b.figures[key{sc, "mtad"}]
		if len(p) == 0 || len(m) == 0 {
			continue
		}
		pf, mf := median(p), median(m)
		fmt.Fprintf(&w, "| %s | %.0f | %.0f | **%.1f** | %.0f, %.0f | %s | %s | %d MB | %d MB | %.2f |\n", sc, pf.rate, mf.rate, mf.rate/pf.rate,
			goal[sc][0], goal[sc][1], latency(pf), latency(mf), pf.memory>>20, mf.memory>>20, mf.syncs)
	}
	return w.String()
}

func latency(f figure) string {
	if f.p50 == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f / %.1f ms", f.p50.Seconds()*1000, f.p99.Seconds()*1000)
}

func cpuModel() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
