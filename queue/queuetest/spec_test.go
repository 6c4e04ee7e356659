package queuetest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A rule without a test, or with one that does not exist, is not kept.
func TestEveryRuleOfTheSpecNamesTestsThatExist(t *testing.T) {
	text, err := os.ReadFile("../../spec/queue.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "## 7. ")
	if !ok {
		t.Fatal("spec/queue.md has no section 7")
	}
	known := knownTests(t)
	rules := 0
	for line := range strings.SplitSeq(table, "\n") {
		cells := strings.Split(line, " | ")
		if len(cells) != 4 || strings.Contains(cells[0], "#") || strings.Contains(line, "---") {
			continue
		}
		rules++
		names := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[3], -1)
		if len(names) == 0 {
			t.Errorf("rule %s names no test", cells[0])
		}
		for _, n := range names {
			if !known[n[1]] {
				t.Errorf("rule %s names %q, which is no test", cells[0], n[1])
			}
		}
	}
	if rules != 9 {
		t.Errorf("%d rules, want 9", rules)
	}
}

// knownTests are the behaviours of the suite, as topic/behaviour, and the test
// functions below queue/.
func knownTests(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	for topic, behaviours := range suite() {
		for _, b := range behaviours {
			known[topic+"/"+b.name] = true
		}
	}
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		src, err := os.ReadFile(path)
		for _, m := range function.FindAllSubmatch(src, -1) {
			known[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return known
}

func TestNoTwoBehavioursShareAName(t *testing.T) {
	for topic, behaviours := range suite() {
		seen := map[string]bool{}
		for _, b := range behaviours {
			if seen[b.name] {
				t.Errorf("%s/%s is there twice", topic, b.name)
			}
			seen[b.name] = true
		}
	}
}
