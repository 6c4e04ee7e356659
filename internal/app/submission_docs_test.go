package app_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mtad/queue"
)

var fenced = regexp.MustCompile("(?ms)^```(sh|perl|python|yaml)\n(.*?)^```$")

func missing(program string) bool {
	_, err := exec.LookPath(program)
	return err != nil
}

// The examples of docs/submission.md work as they stand there.
func TestExamplesOfTheDocumentWork(t *testing.T) {
	b, err := os.ReadFile("../../docs/submission.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	sum := sha256.Sum256([]byte(secret))
	a, _ := start(t, read(t, dir, fmt.Sprintf(`
listeners: {}
api: {listen: ["127.0.0.1:0"], tokens: {program: {sha256: "%x", scopes: [submit]}}}
routes: [{match: "*", transport: discard}]
`, sum)))
	if err := os.WriteFile(filepath.Join(dir, "message.eml"), []byte("From: alice@example.org\nSubject: a file\n\nHello.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket := a.Addr("api.unix").String()
	env := []string{
		"PATH=" + filepath.Dir(mtactl(t)) + ":" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"),
		"MTACTL_SERVER=unix:" + socket, "SOCKET=" + socket,
		"MTAD=http://" + a.Addr("api").String(), "TOKEN=" + secret,
	}
	ran, queued := 0, int64(0)
	for i, m := range fenced.FindAllStringSubmatch(string(b), -1) {
		language, text := m[1], m[2]
		if language == "yaml" {
			read(t, t.TempDir(), text)
			continue
		}
		program := map[string]string{"sh": "sh", "perl": "perl", "python": "python3"}[language]
		if missing(program) || strings.Contains(text, "curl ") && missing("curl") {
			t.Logf("example %d: no %s or no curl here", i, program)
			continue
		}
		t.Run(fmt.Sprintf("%d %s", i, language), func(t *testing.T) {
			cmd := exec.Command(program)
			cmd.Dir, cmd.Env, cmd.Stdin = dir, env, nil
			file := filepath.Join(t.TempDir(), "example")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd.Args = append(cmd.Args, file)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s\n%s", err, out, text)
			}
		})
		ran++
		st, err := a.Queue().Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all, err := a.Queue().Count(t.Context(), queue.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		now := st.History + all.Messages
		if now <= queued {
			t.Errorf("example %d handed nothing in:\n%s", i, text)
		}
		queued = now
	}
	if ran < 10 {
		t.Errorf("%d examples", ran)
	}
}
