// Command gen writes what is generated from spec/errors.json and openapi.yaml
// besides what oapi-codegen makes: the error codes and the table of operations.
// It runs in the api directory, by go generate.
package main

import (
	"bytes"
	"fmt"
	"go/format"
	"os"
	"strings"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run() error {
	list, err := readErrors("../spec/errors.json")
	if err != nil {
		return err
	}
	ops, err := readOperations("openapi.yaml")
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		"errors.gen.go":               errorTable(list),
		"../filterproto/codes.gen.go": errorCodes(list),
		"operations.gen.go":           operationTable(ops),
	} {
		if err := write(name, text); err != nil {
			return err
		}
	}
	return nil
}

func write(name, text string) error {
	out, err := format.Source([]byte(text))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, out) {
		return nil
	}
	return os.WriteFile(name, out, 0o644)
}

// goName is the code "lease_lost" as "LeaseLost".
func goName(code string) string {
	var b strings.Builder
	for _, w := range strings.Split(code, "_") {
		if w == "json" {
			b.WriteString("JSON")
			continue
		}
		b.WriteString(strings.ToUpper(w[:1]) + w[1:])
	}
	return b.String()
}
