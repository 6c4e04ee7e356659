package main

import (
	"bytes"
	"os"
	"testing"
)

func TestWhatIsGeneratedIsCurrent(t *testing.T) {
	t.Chdir("../..")
	files, err := outputs()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not current (%v); run go generate ./api", name, err)
		}
	}
}
