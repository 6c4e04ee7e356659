package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

var (
	codeSpan = regexp.MustCompile("`(mtactl [^`]+)`|(?m)^(?:bin/)?(mtactl .+)$")
	words    = regexp.MustCompile(`'[^']*'|\S+`)
)

// Every mtactl command in the documents is one that mtactl takes.
func TestCommandsInDocumentsAreTaken(t *testing.T) {
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range append(files, "../../README.md", "../../spec/filter.md") {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range codeSpan.FindAllStringSubmatch(string(b), -1) {
			line := m[1] + m[2]
			if err := taken(line); err != nil {
				t.Errorf("%s: %s: %v", filepath.Base(name), line, err)
			}
		}
	}
}

func taken(line string) error {
	line, _, _ = strings.Cut(line, " > ")
	var args []string
	for _, w := range words.FindAllString(line, -1)[1:] {
		args = append(args, strings.Trim(w, "'"))
	}
	root := (&tool{}).root()
	c, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if c == root || c.HasSubCommands() {
		if len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
			return usage("no verb %q", rest[0])
		}
	}
	if err := c.ParseFlags(rest); !errors.Is(err, pflag.ErrHelp) {
		return err
	}
	return nil
}
