package queuetest

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
)

// histories are written ones: testdata/*.txt. A history is made of commands
// (player.play) with the answer each of them has to give.
//
//go:embed testdata/*.txt
var histories embed.FS

// block is one command of a history, with the comment before it and what it
// has to answer.
type block struct {
	comment, command, want string
}

// parseHistory reads blocks: comment lines, a command line, "----", the answer, an
// empty line.
func parseHistory(text string) (blocks []block, err error) {
	for part := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n\n") {
		head, want, ok := strings.Cut(part+"\n", "----\n")
		if !ok {
			blocks = append(blocks, block{comment: part + "\n"})
			continue
		}
		lines := strings.SplitAfter(strings.TrimSuffix(head, "\n"), "\n")
		b := block{comment: strings.Join(lines[:len(lines)-1], ""), command: lines[len(lines)-1], want: want}
		if b.command == "" || strings.HasPrefix(b.command, "#") {
			return nil, fmt.Errorf("no command before ---- in %q", part)
		}
		blocks = append(blocks, b)
	}
	return blocks, nil
}

// printHistory is the inverse of parseHistory.
func printHistory(blocks []block) string {
	var parts []string
	for _, b := range blocks {
		if b.command == "" {
			parts = append(parts, b.comment)
			continue
		}
		parts = append(parts, b.comment+b.command+"\n----\n"+b.want)
	}
	return strings.Join(parts, "\n")
}

// historyNames lists the written histories.
func historyNames() []string {
	names, err := fs.Glob(histories, "testdata/*.txt")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	slices.Sort(names)
	return names
}

// runFiles runs every written history on a queue of its own.
func runFiles(t *testing.T, open func(t *testing.T) *Subject) {
	for _, name := range historyNames() {
		t.Run(strings.TrimSuffix(path.Base(name), ".txt"), func(t *testing.T) {
			s := open(t)
			if s.Advance == nil || s.Crash == nil || s.maxClaims() != 5 {
				s.Queue.Close()
				t.Skip("needs a clock, crashes, and poison after 5 lost claims")
			}
			text, err := histories.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			playHistory(t, s, string(text))
		})
	}
}

// playHistory runs one history and returns it with the answers that came.
func playHistory(t *testing.T, s *Subject, text string) string {
	t.Helper()
	blocks, err := parseHistory(text)
	if err != nil {
		t.Fatal(err)
	}
	p := newPlayer(t, s)
	for i, b := range blocks {
		if b.command == "" {
			continue
		}
		got := p.play(b.command)
		if got != b.want && !s.rewrite {
			t.Errorf("%s%s\n---- got\n%s---- want\n%s", b.comment, b.command, got, b.want)
		}
		blocks[i].want = got
	}
	return printHistory(blocks)
}
