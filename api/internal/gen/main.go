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
	files, err := outputs()
	if err != nil {
		return err
	}
	for name, text := range files {
		if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, text) {
			continue
		}
		if err := os.WriteFile(name, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// outputs are the generated files by name.
func outputs() (map[string][]byte, error) {
	list, err := readErrors("../spec/errors.json")
	if err != nil {
		return nil, err
	}
	ops, err := readOperations("openapi.yaml")
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{"../docs/errors.md": []byte(errorPage(list))}
	for name, text := range map[string]string{
		"errors.gen.go":               errorTable(list),
		"../filterproto/codes.gen.go": errorCodes(list),
		"operations.gen.go":           operationTable(ops),
	} {
		if files[name], err = format.Source([]byte(text)); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return files, nil
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
