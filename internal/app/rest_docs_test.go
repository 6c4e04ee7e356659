package app_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The examples of docs/rest.md work as they stand there.
func TestExamplesOfTheRESTDocumentWork(t *testing.T) {
	b, err := os.ReadFile("../../docs/rest.md")
	if err != nil {
		t.Fatal(err)
	}
	a, _ := start(t, read(t, t.TempDir(), "listeners: {}\napi: {listen: [\"127.0.0.1:0\"]}\nroutes: [{match: \"*\", transport: discard}]\n"))
	env := []string{
		"PATH=" + filepath.Dir(mtactl(t)) + ":" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"),
		"MTACTL_SERVER=unix:" + a.Addr("api.unix").String(), "MTAD=http://" + a.Addr("api").String(),
		"TOKEN=" + makeToken(t, a, "examples", "--from", "@example.org"),
	}
	examples := fenced.FindAllStringSubmatch(string(b), -1)
	if len(examples) < 6 {
		t.Errorf("%d examples", len(examples))
	}
	for i, m := range examples {
		program := map[string]string{"sh": "sh", "python": "python3"}[m[1]]
		if missing(program) || strings.Contains(m[2], "curl ") && missing("curl") {
			t.Logf("example %d: no %s or no curl here", i, program)
			continue
		}
		t.Run(fmt.Sprintf("%d %s", i, m[1]), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "example")
			if err := os.WriteFile(file, []byte(m[2]), 0o600); err != nil {
				t.Fatal(err)
			}
			args := []string{"-e", file}
			if m[1] == "python" {
				args = args[1:]
			}
			cmd := exec.Command(program, args...)
			cmd.Env = env
			if out, err := cmd.CombinedOutput(); err != nil || len(out) == 0 {
				t.Fatalf("%v: %s\n%s", err, out, m[2])
			}
		})
	}
}
