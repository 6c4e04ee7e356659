// Command limits measures what mtad promises of its bounds: start, memory and
// listings with a long deferred queue, many idle and slow connections, large
// messages. It starts mtad as its users do and prints a table; with -out it
// puts it into the report.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

var (
	only        = flag.String("only", "", "measure one of: backlog, connections, large")
	backlog     = flag.Int("backlog", 1_000_000, "deferred messages")
	idle        = flag.Int("idle", 10_000, "idle and slow connections, each")
	out         = flag.String("out", "", "file that gets the section, below its mark")
	keep        = flag.Bool("keep", false, "keep the directories")
	sectionMark = "<!-- below: measured by `make limits` -->\n"
)

func main() { os.Exit(run()) }

func run() int {
	if len(os.Args) > 1 && os.Args[1] == "crowd" {
		return crowd(os.Args[2:])
	}
	flag.Parse()
	dir, err := os.MkdirTemp("/var/tmp", "limits")
	if err != nil {
		return fail(err)
	}
	if !*keep {
		defer os.RemoveAll(dir)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return fail(err)
	}
	bin := filepath.Join(dir, "bin")
	build := exec.Command("go", "build", "-o", bin+"/", "./cmd/mtad", "./cmd/mtactl")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fail(err)
	}
	var w strings.Builder
	w.WriteString("\n## Bounds\n| what | measured | asked |\n|---|---|---|\n")
	for _, m := range []struct {
		name    string
		measure func(dir, bin string, row func(what, got, asked string)) error
	}{{"backlog", measureBacklog}, {"connections", measureConnections}, {"large", measureLarge}} {
		if *only != "" && *only != m.name {
			continue
		}
		err := m.measure(filepath.Join(dir, m.name), bin, func(what, got, asked string) {
			fmt.Printf("%-70s %-14s asked %s\n", what, got, asked)
			fmt.Fprintf(&w, "| %s | %s | %s |\n", what, got, asked)
		})
		if err != nil {
			return fail(fmt.Errorf("%s: %w", m.name, err))
		}
	}
	return writeSection(w.String())
}

func writeSection(text string) int {
	if *out == "" {
		return 0
	}
	old, err := os.ReadFile(*out)
	if err != nil {
		return fail(err)
	}
	head, _, _ := strings.Cut(string(old), sectionMark)
	if err := os.WriteFile(*out, []byte(head+sectionMark+text), 0o644); err != nil {
		return fail(err)
	}
	return 0
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "limits:", err)
	return 1
}
