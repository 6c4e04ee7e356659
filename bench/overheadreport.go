package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
)

// overheadTable is what filters that do nothing cost.
func (b *bench) overheadTable() string {
	var w strings.Builder
	fmt.Fprintf(&w, "\n## What a filter that does nothing costs\n%s, %d cores (%s), %d connections, messages of %d octets, medians of %d rounds, in which the systems took turns.\n\n",
		time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), cpuModel(), *connections, *size, b.trialRounds())
	w.WriteString("As fast as it goes, every core busy:\n\n| | msgs/s | of unfiltered | processor time a message: MTA | filter program | syncs a message |\n|---|---|---|---|---|---|\n")
	for _, k := range trials {
		t := b.trials[k]
		if len(t) == 0 {
			continue
		}
		rate := middle(t, func(t trial) float64 { return t.Rate })
		fmt.Fprintf(&w, "| %s | %.0f | %s | %.2f ms | %s | %s |\n", title(k), rate, b.ofFree(k, func(t trial) float64 { return t.Rate }),
			middle(t, func(t trial) float64 { return t.CPU }), ms(k, middle(t, func(t trial) float64 { return t.Program })), syncs(k, middle(t, func(t trial) float64 { return t.Syncs })))
	}
	for i, share := range shares {
		fmt.Fprintf(&w, "\nAt a steady load, %.0f %% of what the system does unfiltered:\n\n| | offered | kept | of unfiltered | p50 / p99 of the accept | processor time a message: MTA | filter program | cores busy with both | syncs a message |\n|---|---|---|---|---|---|---|---|---|\n", share*100)
		for _, k := range trials {
			if t := b.trials[k]; len(t) > 0 {
				w.WriteString(b.steadyRow(k, t, i))
			}
		}
	}
	return w.String()
}

func (b *bench) steadyRow(k key, t []trial, i int) string {
	at := func(f func(load) float64) float64 { return middle(t, func(t trial) float64 { return f(t.Steady[i]) }) }
	cpu, program, kept := at(func(l load) float64 { return l.CPU }), at(func(l load) float64 { return l.Program }), at(func(l load) float64 { return l.Kept })
	return fmt.Sprintf("| %s | %.0f | %.0f | %s | %.2f / %.1f ms | %.2f ms | %s | %.2f | %s |\n", title(k), at(func(l load) float64 { return l.Offered }), kept,
		b.ofFree(k, func(t trial) float64 { return t.Steady[i].Kept }), at(func(l load) float64 { return l.P50.Seconds() })*1000, at(func(l load) float64 { return l.P99.Seconds() })*1000,
		cpu, ms(k, program), (cpu+program)*kept/1000, syncs(k, at(func(l load) float64 { return l.Syncs })))
}

// ofFree is the median of the ratios to the same system without a filter, round by
// round.
func (b *bench) ofFree(k key, f func(trial) float64) string {
	free, t := b.trials[key{"relay", k.system}], b.trials[k]
	if k.scenario == "relay" || len(free) < len(t) {
		return ""
	}
	ratios := make([]float64, len(t))
	for i := range t {
		ratios[i] = f(t[i]) / f(free[i])
	}
	slices.Sort(ratios)
	return fmt.Sprintf("**%.0f %%**", ratios[len(ratios)/2]*100)
}

func (b *bench) trialRounds() (n int) {
	for _, t := range b.trials {
		n = max(n, len(t))
	}
	return n
}

func middle(t []trial, f func(trial) float64) float64 {
	list := make([]float64, len(t))
	for i := range t {
		list[i] = f(t[i])
	}
	slices.Sort(list)
	return list[len(list)/2]
}

func title(k key) string {
	system := map[string]string{"mtad": "mtad", "postfix": "Postfix"}[k.system]
	if k.scenario == "relay" {
		return system + ", no filter"
	}
	return system + ", " + k.scenario
}

func ms(k key, v float64) string {
	if k.scenario == "relay" {
		return ""
	}
	return fmt.Sprintf("%.2f ms", v)
}

func syncs(k key, v float64) string {
	if k.system != "mtad" {
		return ""
	}
	return fmt.Sprintf("%.2f", v)
}
