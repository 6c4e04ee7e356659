package lint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A decision is cited by its number: no two have the same.
func TestDecisionsHaveNumbersOfTheirOwn(t *testing.T) {
	files, err := filepath.Glob("../../spec/adr/[0-9]*.md")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	seen := map[string]string{}
	for _, path := range files {
		name := filepath.Base(path)
		number, _, _ := strings.Cut(name, "-")
		if other, twice := seen[number]; twice {
			t.Errorf("%s and %s have the same number", other, name)
		}
		seen[number] = name
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if number != "0000" && !strings.HasPrefix(string(b), "# "+number+": ") {
			t.Errorf("%s does not begin with its number and title", name)
		}
	}
}
