package app_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"mtad/filterproto"
	"mtad/internal/app"
	"mtad/internal/milter/miltertest"
	"mtad/queue"
)

// helperDir holds the program mtactl once a test has asked for it.
var helperDir string

var helper = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "mtactl")
	if err != nil {
		return "", err
	}
	helperDir = dir
	path := filepath.Join(dir, "mtactl")
	out, err := exec.Command("go", "build", "-o", path, "mtad/cmd/mtactl").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, os.Chmod(dir, 0o755) // other users run it, too
})

func removeHelper() {
	if helperDir != "" {
		os.RemoveAll(helperDir)
	}
}

func mtactl(t *testing.T) string {
	t.Helper()
	path, err := helper()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs mtactl against a socket with an environment as cron's and returns its exit status.
func runHelper(t *testing.T, socket string, in io.Reader, args ...string) (status int, out, words string) {
	t.Helper()
	cmd := exec.Command(mtactl(t), args...)
	cmd.Dir, cmd.Env = "/", []string{"MTACTL_SERVER=unix:" + socket, "PATH=/usr/bin:/bin"}
	var o, e bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &o, &e
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), o.String(), e.String()
}

// fullExample is the vector with every attribute.
func fullExample(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../spec/vectors/submission.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []struct{ Name, Input string }
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	for _, v := range list {
		if v.Name == "every attribute" {
			return v.Input
		}
	}
	t.Fatal("no such vector")
	return ""
}

// attributes are those of the example, as JSON names them.
var attributes = map[string]any{
	"protocol_name": "ESMTPSA", "helo_name": "laptop.example.org", "client_name": "host.example.org",
	"client_address": "192.0.2.7", "client_port": 49152.0,
	"sasl_method": "PLAIN", "sasl_username": "alice", "sasl_sender": "alice@example.org", "size": 1234.0,
	"ccert_subject": "Alice Example", "ccert_issuer": "Example CA",
	"ccert_fingerprint":   "5A:1B:2C:3D:4E:5F:60:71:82:93:A4:B5:C6:D7:E8:F9:0A:1B:2C:3D",
	"encryption_protocol": "TLSv1.3", "encryption_cipher": "TLS_AES_256_GCM_SHA384", "encryption_keysize": 256.0,
}

func checkAttributes(t *testing.T, where string, envelope any) {
	t.Helper()
	b, err := json.Marshal(envelope)
	if err != nil {
		t.Fatal(err)
	}
	var e struct {
		ReversePath string         `json:"reverse_path"`
		EnvID       string         `json:"envid"`
		Ret         string         `json:"ret"`
		Client      map[string]any `json:"client"`
		Recipients  []struct {
			Path, ORCPT string
			Notify      []string
		} `json:"recipients"`
	}
	if err := json.Unmarshal(b, &e); err != nil {
		t.Fatal(err)
	}
	for name, want := range attributes {
		if e.Client[name] != want {
			t.Errorf("%s: %s is %v, want %v", where, name, e.Client[name], want)
		}
	}
	if e.ReversePath != "alice@example.org" || e.EnvID != "QQ314159" || e.Ret != "HDRS" {
		t.Errorf("%s: sender %q, envid %q, ret %q", where, e.ReversePath, e.EnvID, e.Ret)
	}
	const want = "[{bob@example.net rfc822;bob@example.com [failure delay]} {carol@example.net rfc822;carol+list@example.com [never]}]"
	if got := fmt.Sprint(e.Recipients); got != want {
		t.Errorf("%s: recipients %s, want %s", where, got, want)
	}
}

// doors hand a message of the submission format in and return its ID.
var doors = map[string]func(*testing.T, *app.App, string) string{
	"helper": func(t *testing.T, a *app.App, in string) string {
		status, out, words := runHelper(t, a.Addr("api.unix").String(), strings.NewReader(in), "submit")
		if status != 0 || words != "" {
			t.Fatalf("status %d, %s", status, words)
		}
		return strings.TrimSpace(out)
	},
	"rest": func(t *testing.T, a *app.App, in string) string {
		req, _ := http.NewRequest("POST", "http://"+a.Addr("api").String()+"/v1/messages", strings.NewReader(in))
		req.Header.Set("Authorization", "Bearer "+secret)
		req.Header.Set("Content-Type", "application/vnd.mtad.submission")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var m struct{ ID string }
		if err := json.NewDecoder(res.Body).Decode(&m); err != nil || res.StatusCode != 201 {
			t.Fatal(res.StatusCode, m, err)
		}
		return m.ID
	},
}

// What a message with every attribute says is seen by every kind of filter and by operators.
func TestEveryAttributeOfASubmissionIsSeenByFiltersAndOperators(t *testing.T) {
	for name, hand := range doors {
		t.Run(name, func(t *testing.T) {
			next, m := newSink(t), miltertest.Start(t, "unix")
			var seen atomic.Pointer[handed]
			p := newProxy(t, true, func(h *handed) string {
				seen.Store(h)
				isBack(t, h.back(h.data), "250")
				return "250 ok"
			})
			dir := t.TempDir()
			text := strings.NewReplacer(
				`scopes: ["filter:words"]`, `scopes: ["filter:words", "submit"], submit: {client_attributes: any, chain: scan}`,
				"filters: {words: {}}", fmt.Sprintf("filters: {words: {}, m: {kind: milter, address: %q}, av: {kind: smtp, address: %q}}", "unix:"+m.Address, p.ln.Addr()),
				"filters: [words]", "filters: [m, av, words]",
				`smtp: {address: "127.0.0.1:0", chain: scan}`, `back: {address: "127.0.0.1:0", kind: reinjection}`,
			).Replace(filterConfig(next.addr, "after"))
			a, _ := start(t, read(t, dir, text+"submission: {chain: scan}\n"))
			p.back.Store(a.Addr("back").String())
			id := hand(t, a, fullExample(t))
			claim := newScanner(t, a).claim()
			if claim.Message.ID != id {
				t.Fatalf("claimed %s, want %s", claim.Message.ID, id)
			}
			checkAttributes(t, "pull", claim.Message.Envelope)

			status, out, words := runHelper(t, a.Addr("api.unix").String(), nil, "queue", "show", "-o", "json", id)
			var shown struct{ Envelope any }
			if err := json.Unmarshal([]byte(out), &shown); err != nil || status != 0 {
				t.Fatal(status, words, err)
			}
			checkAttributes(t, "show", shown.Envelope)

			var milter strings.Builder
			for _, p := range m.Seen() {
				milter.WriteString(string(p.Command) + p.Data + "\n")
			}
			for _, want := range []string{
				"{client_addr}\x00192.0.2.7\x00", "{client_name}\x00host.example.org\x00", "{client_port}\x0049152\x00",
				"Hlaptop.example.org\x00", "r\x00ESMTPSA\x00", "{auth_type}\x00PLAIN\x00", "{auth_authen}\x00alice\x00", "{auth_author}\x00alice@example.org\x00",
				"{cert_subject}\x00Alice Example\x00", "{cert_issuer}\x00Example CA\x00", "{cert_fingerprint}\x005A:1B:2C:3D",
				"{tls_version}\x00TLSv1.3\x00", "{cipher}\x00TLS_AES_256_GCM_SHA384\x00", "{cipher_bits}\x00256\x00",
				"M<alice@example.org>\x00", "ENVID=QQ314159\x00", "RET=HDRS\x00",
				"R<bob@example.net>\x00NOTIFY=FAILURE,DELAY\x00ORCPT=rfc822;bob@example.com\x00",
				"R<carol@example.net>\x00NOTIFY=NEVER\x00ORCPT=rfc822;carol+2Blist@example.com\x00",
			} {
				if !strings.Contains(milter.String(), want) {
					t.Errorf("the milter was not told %q", want)
				}
			}
			h := seen.Load()
			for name, want := range map[string]string{
				"NAME": "host.example.org", "ADDR": "192.0.2.7", "PORT": "49152", "PROTO": "ESMTPSA", "HELO": "laptop.example.org", "SOURCE": "REMOTE",
			} {
				if h.forward[name] != want {
					t.Errorf("XFORWARD %s is %q, want %q", name, h.forward[name], want)
				}
			}
			if !strings.Contains(h.mail, "ENVID=QQ314159") || len(h.rcpts) != 2 || !strings.Contains(h.rcpts[1], "NOTIFY=NEVER") {
				t.Errorf("the content filter was told %s, %q", h.mail, h.rcpts)
			}

			s := newScanner(t, a)
			s.judge(claim.Token, filterproto.Verdict{Disposition: filterproto.Accept})
			if got := content(t, next.wait(t).data); got != "Subject: hello\r\n\r\nbody\r\n" {
				t.Errorf("the next hop got %q", got)
			}
			finished(t, a.Queue(), queue.ID(id))
		})
	}
}

// A user of this machine other than mtad's own needs nothing to send, and a list
// that does not name it is the end of that.
func TestLocalUsersSubmitAsTheListSays(t *testing.T) {
	const nobody = 65534
	if os.Geteuid() != 0 {
		t.Skip("only root can be another user")
	}
	const base = `
listeners: {}
api: {listen: []}
routes: [{match: "*", transport: discard}]
`
	const plain, claims = "sender: <a@example.org>\nrecipient: <b@example.net>\n\nSubject: x\n", "helo_name: x\n" + "sender: <a@example.org>\nrecipient: <b@example.net>\n\nSubject: x\n"
	for name, c := range map[string]struct {
		list, in string
		status   int
		groups   string
	}{
		"no list":                {"", plain, 0, ""},
		"no list, claims":        {"", claims, 77, ""},
		"an empty list":          {"submission: {allow: []}", plain, 77, ""},
		"by uid":                 {"submission: {allow: [{uid: 65534, client_attributes: any}]}", claims, 0, ""},
		"by another uid":         {"submission: {allow: [{uid: 4242}]}", plain, 77, ""},
		"by name":                {"submission: {allow: [{user: nobody, senders: [a@example.org]}]}", plain, 0, ""},
		"another sender":         {"submission: {allow: [{user: nobody, senders: [own]}]}", plain, 77, ""},
		"own sender":             {"submission: {allow: [{user: nobody, senders: [own]}]}", strings.Replace(plain, "a@example.org", "nobody@mx.test", 1), 0, ""},
		"own sender, no domain":  {"submission: {allow: [{user: nobody, senders: [own]}]}", strings.Replace(plain, "<a@example.org>", "nobody", 1), 0, ""},
		"local only, relayed":    {"submission: {allow: [{user: nobody, recipients: local}]}", plain, 77, ""},
		"by primary group":       {"submission: {allow: [{gid: 65534}]}", plain, 0, ""},
		"by supplementary group": {"submission: {allow: [{gid: 4243}]}", plain, 0, "4242,4243"},
		"in another group":       {"submission: {allow: [{gid: 4244}]}", plain, 77, "4242,4243"},
		"the first that fits":    {"submission: {allow: [{uid: 65534, senders: [own]}, {everyone: true}]}", plain, 77, ""},
		"too large":              {"submission: {message_size: 1K}", plain + strings.Repeat("x", 2000), 65, ""},
		"too many recipients":    {"submission: {recipients: 2}", strings.Repeat("recipient: b@example.net\n", 3) + plain, 65, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := public(t)
			a, l := start(t, read(t, dir, base+c.list+"\n"))
			cmd := exec.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", mtactl(t), "submit")
			if c.groups != "" {
				cmd.Args[3] = "--groups=" + c.groups
			}
			cmd.Dir, cmd.Env = "/", []string{"MTACTL_SERVER=unix:" + a.Addr("api.unix").String()}
			cmd.Stdin = strings.NewReader(c.in)
			out, _ := cmd.CombinedOutput()
			if got := cmd.ProcessState.ExitCode(); got != c.status {
				t.Errorf("status %d, want %d: %s", got, c.status, out)
			}
			if strings.Count(string(out), "\n") != 1 {
				t.Errorf("not one line: %q", out)
			}
			st, err := a.Queue().Stats(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if c.status != 0 && st.History != 0 || (c.status == 77 && strings.Count(l.String(), "submission refused") != 1) {
				t.Errorf("%d messages were taken; log:\n%s", st.History, l)
			}
			if c.status == 0 {
				it := finished(t, a.Queue(), queue.ID(strings.TrimSpace(string(out))))
				if it.Origin != queue.OriginSubmit || it.Meta["submitted_by"] != fmt.Sprintf("uid:%d", nobody) {
					t.Errorf("origin %v, meta %v", it.Origin, it.Meta)
				}
			}
		})
	}
}

// public is a directory that others can pass through.
func public(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mtad")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// The uid is the kernel's word: nothing in a request can put another one in its place.
func TestNothingInARequestForgesTheUser(t *testing.T) {
	a, _ := start(t, read(t, t.TempDir(), "listeners: {}\napi: {listen: [\"127.0.0.1:0\"]}\n"))
	req, _ := http.NewRequest("POST", "http://"+a.Addr("api").String()+"/v1/messages", strings.NewReader(fullExample(t)))
	req.Header.Set("Content-Type", "application/vnd.mtad.submission")
	for _, h := range []string{"X-Uid", "X-Remote-User", "X-Forwarded-User", "Remote-User"} {
		req.Header.Set(h, "0")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 401 {
		t.Errorf("over TCP: %d, want 401", res.StatusCode)
	}
}

// A reload changes who may submit, for the next message.
func TestSubmissionRulesAreReloaded(t *testing.T) {
	dir := t.TempDir()
	text := func(attributes string) string {
		return fmt.Sprintf("listeners: {}\nroutes: [{match: \"*\", transport: discard}]\napi: {listen: [\"127.0.0.1:0\"], tokens: {program: {sha256: \"%x\", scopes: [submit], submit: {client_attributes: %s}}}}\n",
			sha256.Sum256([]byte(secret)), attributes)
	}
	a, _ := start(t, read(t, dir, text("none")))
	hand := func() int {
		req, _ := http.NewRequest("POST", "http://"+a.Addr("api").String()+"/v1/messages", strings.NewReader(fullExample(t)))
		req.Header.Set("Authorization", "Bearer "+secret)
		req.Header.Set("Content-Type", "application/vnd.mtad.submission")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	if got := hand(); got != 403 {
		t.Errorf("before: %d, want 403", got)
	}
	if _, err := a.Reload(t.Context(), read(t, dir, text("any"))); err != nil {
		t.Fatal(err)
	}
	if got := hand(); got != 201 {
		t.Errorf("after: %d, want 201", got)
	}
	_, err := a.Reload(t.Context(), read(t, dir, text("none")+"submission: {allow: [{user: no-such-user-here}]}\n"))
	if err == nil || !strings.Contains(err.Error(), "no-such-user-here") {
		t.Errorf("a user that does not exist: %v", err)
	}
	if got := hand(); got != 201 {
		t.Errorf("after a refused reload: %d, want 201", got)
	}
}

// A filter that judges while the helper waits has the last word.
func TestAFilterRefusesASubmissionAtOnce(t *testing.T) {
	a, _ := start(t, read(t, t.TempDir(), filterConfig("127.0.0.1:1", "inline")+"submission: {chain: scan}\n"))
	type result struct {
		status     int
		out, words string
	}
	done := make(chan result, 1)
	mtactl(t)
	go func() {
		status, out, words := runHelper(t, a.Addr("api.unix").String(), strings.NewReader(fullExample(t)), "submit")
		done <- result{status, out, words}
	}()
	s := newScanner(t, a)
	s.judge(s.claim().Token, filterproto.Verdict{Disposition: filterproto.Reject, Reply: &filterproto.Reply{Code: 554, Enhanced: "5.7.1", Text: "a virus"}})
	if got := <-done; got.status != 69 || got.out != "" || !strings.Contains(got.words, "554 5.7.1 a virus") {
		t.Errorf("%+v", got)
	}
	if n, err := a.Queue().Count(t.Context(), queue.Filter{}); err != nil || n.Messages != 0 {
		t.Errorf("%d messages, %v", n.Messages, err)
	}
}
