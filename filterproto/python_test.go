package filterproto

import (
	"os/exec"
	"testing"
)

// A reader written from spec/filter.md in another language reads the vectors as
// this package does.
func TestVectorsAreReadAlikeInPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 here")
	}
	if out, err := exec.CommandContext(t.Context(), python, "-B", "examples/python/check_vectors.py").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
