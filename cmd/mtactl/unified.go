package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// unified writes the lines that differ between two texts, with three lines around
// them. Lines are compared by their exact octets and shown safe for a terminal.
func unified(w io.Writer, nameA, nameB string, a, b []byte) {
	if bytes.Equal(a, b) {
		return
	}
	fmt.Fprintf(w, "--- %s\n+++ %s\n", nameA, nameB)
	la, lb := lines(a), lines(b)
	for _, h := range hunks(edits(la, lb)) {
		h.write(w, la, lb)
	}
}

// lines cuts after each LF; the last one may be without.
func lines(b []byte) []string {
	l := strings.SplitAfter(string(b), "\n")
	if l[len(l)-1] == "" {
		l = l[:len(l)-1]
	}
	return l
}

// edit is a step from a to b: ' ' keeps a[i], which is b[j]; '-' drops a[i]; '+'
// puts b[j] in.
type edit struct {
	op   byte
	i, j int
}

// maxTable bounds the work of comparing what lies between the common start and
// end; beyond it that is shown as replaced.
const maxTable = 4 << 20

// edits finds a shortest way from a to b by their longest common subsequence.
func edits(a, b []string) []edit {
	start := 0
	for start < len(a) && start < len(b) && a[start] == b[start] {
		start++
	}
	endA, endB := len(a), len(b)
	for endA > start && endB > start && a[endA-1] == b[endB-1] {
		endA--
		endB--
	}
	var out []edit
	for k := range start {
		out = append(out, edit{' ', k, k})
	}
	out = append(out, middle(a, b, start, endA, endB)...)
	for k := range len(a) - endA {
		out = append(out, edit{' ', endA + k, endB + k})
	}
	return out
}

func middle(a, b []string, start, endA, endB int) (out []edit) {
	n, m := endA-start, endB-start
	i, j := 0, 0
	if int64(n)*int64(m) <= maxTable {
		length := common(a[start:endA], b[start:endB])
		for i < n && j < m {
			switch {
			case a[start+i] == b[start+j]:
				out = append(out, edit{' ', start + i, start + j})
				i++
				j++
			case length[i+1][j] >= length[i][j+1]:
				out = append(out, edit{'-', start + i, start + j})
				i++
			default:
				out = append(out, edit{'+', start + i, start + j})
				j++
			}
		}
	}
	for ; i < n; i++ {
		out = append(out, edit{'-', start + i, start + j})
	}
	for ; j < m; j++ {
		out = append(out, edit{'+', start + i, start + j})
	}
	return out
}

// common is the table of the lengths of longest common subsequences of suffixes.
func common(a, b []string) [][]int32 {
	t := make([][]int32, len(a)+1)
	for i := range t {
		t[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				t[i][j] = t[i+1][j+1] + 1
			} else {
				t[i][j] = max(t[i+1][j], t[i][j+1])
			}
		}
	}
	return t
}

type hunk []edit

const around = 3

// hunks groups changes that are close to each other.
func hunks(all []edit) (out []hunk) {
	for k := 0; k < len(all); k++ {
		if all[k].op == ' ' {
			continue
		}
		from, last := max(0, k-around), k
		for k < len(all) && k <= last+2*around {
			if all[k].op != ' ' {
				last = k
			}
			k++
		}
		end := min(len(all), last+around+1)
		out = append(out, hunk(all[from:end]))
		k = end - 1
	}
	return out
}

func (h hunk) write(w io.Writer, a, b []string) {
	var nA, nB int
	for _, e := range h {
		if e.op != '+' {
			nA++
		}
		if e.op != '-' {
			nB++
		}
	}
	fmt.Fprintf(w, "@@ -%d,%d +%d,%d @@\n", h[0].i+1, nA, h[0].j+1, nB)
	crs := h.lineEndsDiffer(a, b)
	for _, e := range h {
		line := b
		k := e.j
		if e.op == '-' {
			line, k = a, e.i
		}
		fmt.Fprintf(w, "%c%s\n", e.op, shown(line[k], crs))
	}
}

// lineEndsDiffer reports whether some changed lines end in CRLF and some do not:
// only then the CRs are worth showing.
func (h hunk) lineEndsDiffer(a, b []string) bool {
	with, without := false, false
	for _, e := range h {
		line := ""
		switch e.op {
		case '-':
			line = a[e.i]
		case '+':
			line = b[e.j]
		default:
			continue
		}
		if strings.HasSuffix(line, "\r\n") {
			with = true
		} else if strings.HasSuffix(line, "\n") {
			without = true
		}
	}
	return with && without
}

func shown(line string, crs bool) string {
	line, ended := strings.CutSuffix(line, "\n")
	mark := ""
	if !ended {
		mark = "\n\\ no line end"
	}
	if !crs {
		line = strings.TrimSuffix(line, "\r")
	}
	words := strings.Split(line, "\t")
	for i, w := range words {
		words[i] = oneLine(w)
	}
	return strings.Join(words, "\t") + mark
}
