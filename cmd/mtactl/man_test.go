package main

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

//go:generate go test -run TestManualPagesAreCurrent -update

var update = flag.Bool("update", false, "write docs/man")

const manDir = "../../docs/man"

// pages makes a manual page for every command.
func pages(t *testing.T) map[string]string {
	t.Helper()
	out := make(map[string]string)
	date := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				walk(sub)
			}
		}
		c.Long = markdown(c.Long)
		var b bytes.Buffer
		h := &doc.GenManHeader{Title: strings.ToUpper(strings.ReplaceAll(c.CommandPath(), " ", "-")), Section: "1", Source: "mtad", Manual: "mtactl", Date: &date}
		if err := doc.GenMan(c, h, &b); err != nil {
			t.Fatal(err)
		}
		out[strings.ReplaceAll(c.CommandPath(), " ", "-")+".1"] = b.String()
	}
	walk((&tool{}).root())
	return out
}

// markdown makes plain help text what the generator takes it for: indented lines
// are literal, and elsewhere nothing is markup.
func markdown(s string) string {
	var out []string
	for _, line := range strings.Split(s, "\n") {
		if strings.HasPrefix(line, "  ") {
			line = "    " + line
		} else {
			line = strings.NewReplacer("*", `\*`, "<", `\<`, ">", `\>`, "_", `\_`).Replace(line)
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

func TestManualPagesAreCurrent(t *testing.T) {
	want := pages(t)
	if *update {
		writePages(t, want)
	}
	have, err := filepath.Glob(filepath.Join(manDir, "mtactl*.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		b, err := os.ReadFile(filepath.Join(manDir, name))
		if err != nil || string(b) != want[name] {
			t.Errorf("%s is not current; run go generate ./cmd/mtactl", name)
		}
	}
	for _, path := range have {
		if _, ok := want[filepath.Base(path)]; !ok {
			t.Errorf("%s is of no command", path)
		}
	}
}

func writePages(t *testing.T, pages map[string]string) {
	t.Helper()
	if err := os.MkdirAll(manDir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(manDir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Every verb says what it is for, and so does every flag.
func TestEveryVerbAndFlagIsDescribed(t *testing.T) {
	for name, text := range pages(t) {
		if !strings.Contains(text, "mtactl") {
			t.Errorf("%s is empty", name)
		}
	}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" {
			t.Errorf("%s has no description", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk((&tool{}).root())
}
