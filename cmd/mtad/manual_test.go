package main

import (
	"bytes"
	"os"
	"testing"
)

func TestManualPageIsWhatTheCommandsSay(t *testing.T) {
	var want bytes.Buffer
	if err := manual(&want, rootCommand()); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../docs/man/mtad.8")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Error("docs/man/mtad.8 is stale: run go generate ./cmd/mtad")
	}
}
