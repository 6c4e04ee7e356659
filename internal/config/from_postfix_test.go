package config

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The keys that docs/from-postfix.md sends people to are there.
func TestKeysForPostfixParametersExist(t *testing.T) {
	b, err := os.ReadFile("../../docs/from-postfix.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(b), "| main.cf, master.cf | mtad.yaml |")
	table, _, _ = strings.Cut(table, "\n## ")
	span := regexp.MustCompile("`([^`]+)`")
	seen := 0
	for row := range strings.Lines(table) {
		cells := strings.Split(row, " | ")
		if len(cells) < 2 {
			continue
		}
		for _, m := range span.FindAllStringSubmatch(cells[len(cells)-1], -1) {
			key, _, _ := strings.Cut(m[1], ":")
			key = strings.ReplaceAll(strings.Replace(key, "….", "listeners.*.", 1), ".NAME", ".*")
			if !strings.Contains(key, ".") && !slices.ContainsFunc(Keys(), func(k Key) bool { return strings.HasPrefix(k.Path, key) }) {
				continue // a value
			}
			seen++
			if !slices.ContainsFunc(Keys(), func(k Key) bool {
				return k.Path == key || strings.HasPrefix(k.Path, key+".") || strings.HasPrefix(k.Path, key+"[]")
			}) {
				t.Errorf("no key %s", m[1])
			}
		}
	}
	if seen < 40 {
		t.Errorf("%d keys were looked up; was the table found?", seen)
	}
}
