package lint

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	unsaid  = regexp.MustCompile(`[^\p{L}\p{N} _-]`) // what a heading's anchor leaves out
)

// Links between documents lead somewhere, also those to a heading.
func TestLinksOfDocumentsLeadSomewhere(t *testing.T) {
	const root = "../../"
	for _, pattern := range []string{"*.md", "docs/*.md", "spec/*.md", "spec/adr/*.md"} {
		files, err := filepath.Glob(root + pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, files, err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range link.FindAllStringSubmatch(string(b), -1) {
				if !strings.Contains(m[1], "://") && !leads(file, m[1]) {
					t.Errorf("%s: %s leads nowhere", strings.TrimPrefix(file, root), m[1])
				}
			}
		}
	}
}

func leads(from, to string) bool {
	path, anchor, _ := strings.Cut(to, "#")
	if path != "" {
		from = filepath.Join(filepath.Dir(from), path)
	}
	if anchor == "" {
		_, err := os.Stat(from)
		return err == nil
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return false
	}
	for _, m := range heading.FindAllStringSubmatch(string(b), -1) {
		if strings.ReplaceAll(unsaid.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-") == anchor {
			return true
		}
	}
	return false
}
