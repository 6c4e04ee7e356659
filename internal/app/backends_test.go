package app_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"mtad/internal/app"
	"mtad/internal/auth"
	"mtad/internal/sqldb"
)

// loginDatabase makes an SQLite file with the tables users and senders.
func loginDatabase(t *testing.T, path string, users map[string]string, senders map[string]string) {
	t.Helper()
	db, err := sqldb.Open(sqldb.Options{Driver: sqldb.SQLite, DSN: "file:" + path + "?mode=rwc"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context()) // the pragma is for one
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	exec := func(statement string, args ...any) {
		t.Helper()
		if _, err := conn.ExecContext(t.Context(), statement, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec("PRAGMA query_only = 0")
	exec("CREATE TABLE users (login TEXT, password TEXT)")
	exec("CREATE TABLE senders (login TEXT, address TEXT)")
	for login, password := range users {
		hash, err := auth.Hash("sha512-crypt", password)
		if err != nil {
			t.Fatal(err)
		}
		exec("INSERT INTO users VALUES (?, ?)", login, hash)
	}
	for address, login := range senders {
		exec("INSERT INTO senders VALUES (?, ?)", login, address)
	}
}

const backends = `
tls: {certificate: %[1]s/c.pem, key: %[1]s/k.pem}
listeners:
  submission: {kind: submission, address: "127.0.0.1:0", auth: people}
  submissions: {kind: submissions, address: "127.0.0.1:0", auth: people}
auth:
  people: {%[2]s, max_delay: 1ms}
local_domains: [mx.test, example.org]
api: {listen: []}
smarthost: "[127.0.0.1]:%[3]s"
`

const usersQuery = `sql: {driver: sqlite, dsn_file: %[1]s/dsn, timeout: 1m, query: "SELECT login, password FROM users WHERE login = ?", senders_query: "SELECT address FROM senders WHERE login = ?"}`

func TestLoginsAndTheirSendersInADatabase(t *testing.T) {
	dir, next := t.TempDir(), newSink(t)
	writePair(t, dir, 1)
	loginDatabase(t, dir+"/one.db", map[string]string{"ann@example.org": "secret", "bob": "other"}, map[string]string{"Sales@example.org": "ann@example.org", "@.lists.example": "bob"})
	loginDatabase(t, dir+"/two.db", map[string]string{"ann@example.org": "changed"}, nil)
	file(t, dir+"/dsn", dir+"/one.db\n")
	text := fmt.Sprintf(backends, dir, fmt.Sprintf(usersQuery, dir)+", check_from: true", next.addr[len("127.0.0.1:"):])
	a, l := start(t, read(t, dir, text))
	login := func(user, password, want string) *speaker {
		t.Helper()
		s := speak(t, a.Addr("submissions"), true)
		s.say("EHLO client.test", "250")
		s.say(authPlain(user, password), want)
		return s
	}
	for _, c := range []struct{ user, password, sender, want string }{
		{"ann@example.org", "secret", "ann@example.org", "250"},
		{"ann@example.org", "secret", "sales@EXAMPLE.org", "250"},
		{"ann@example.org", "secret", "x@a.lists.example", "553 5.7.1"},
		{"bob", "other", "x@a.lists.example", "250"},
		{"bob", "other", "sales@example.org", "553 5.7.1"},
	} {
		login(c.user, c.password, "235").say("MAIL FROM:<"+c.sender+">", c.want)
	}
	login("ann@example.org", "wrong", "535")
	login("eve", "secret", "535")
	login("eve'OR'1'='1", "secret", "535")

	s := login("ann@example.org", "secret", "235")
	for from, want := range map[string]string{"sales@example.org": "250", "bob@example.org": "553 5.7.1"} {
		s.say("MAIL FROM:<ann@example.org>", "250")
		s.say("RCPT TO:<c@elsewhere.example>", "250")
		s.say("DATA", "354")
		s.say("From: "+from+"\r\n\r\nbody\r\n.", want)
	}

	file(t, dir+"/dsn", dir+"/two.db\n") // the configuration is the same
	if _, err := a.Reload(t.Context(), read(t, dir, text)); err != nil {
		t.Fatal(err)
	}
	login("ann@example.org", "secret", "535")
	login("ann@example.org", "changed", "235").say("MAIL FROM:<sales@example.org>", "553")

	// A database that is not there is no reason to refuse anybody, nor to let
	// somebody in, nor not to start.
	file(t, dir+"/dsn", dir+"/none.db")
	if _, err := a.Reload(t.Context(), read(t, dir, text)); err != nil {
		t.Fatal(err)
	}
	login("ann@example.org", "changed", "454 4.7.0")
	login("ann@example.org", "wrong", "454 4.7.0")
	if !strings.Contains(l.String(), "database of logins cannot be asked") {
		t.Error("nothing is said about a database that is not there")
	}
	if _, err := os.Stat(dir + "/none.db"); err == nil {
		t.Error("a database was made")
	}
}

func TestALoginWhoseSendersAreNotKnownWaits(t *testing.T) {
	dir, next := t.TempDir(), newSink(t)
	writePair(t, dir, 1)
	loginDatabase(t, dir+"/one.db", map[string]string{"ann": "secret"}, nil)
	file(t, dir+"/dsn", dir+"/one.db\n")
	query := strings.Replace(fmt.Sprintf(usersQuery, dir), "FROM senders", "FROM sendrs", 1)
	a, _ := start(t, read(t, dir, fmt.Sprintf(backends, dir, query, next.addr[len("127.0.0.1:"):])))
	s := speak(t, a.Addr("submissions"), true)
	s.say("EHLO client.test", "250")
	s.say(authPlain("ann", "secret"), "454 4.7.0")
	s.say("MAIL FROM:<ann@mx.test>", "530 5.7.0")
}

func TestAFileWithADSNIsNotShown(t *testing.T) {
	dir, next := t.TempDir(), newSink(t)
	writePair(t, dir, 1)
	for driver, dsn := range map[string]string{
		"postgres": "postgres://mtad:hunter2@[::1/x", "mysql": "mtad:hunter2@nowhere", "sqlite": "hunter2/relative.db",
	} {
		file(t, dir+"/dsn", dsn)
		query := map[string]string{"postgres": "SELECT $1"}[driver]
		if query == "" {
			query = "SELECT ?"
		}
		section := fmt.Sprintf(`sql: {driver: %s, dsn_file: %s/dsn, query: "%s"}`, driver, dir, query)
		_, err := app.New(t.Context(), read(t, dir, fmt.Sprintf(backends, dir, section, next.addr[len("127.0.0.1:"):])), app.Options{Version: "test", Log: &logs{}})
		if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "DSN") {
			t.Errorf("%s: got %v", driver, err)
		}
	}
}

// tokenServer is an authorization server with one token, of ann@example.org.
func tokenServer(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		if id != "mtad" || secret != "machine" || r.Method != http.MethodPost {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if r.PostFormValue("token") == "good-token" {
			fmt.Fprint(w, `{"active": true, "email": "ann@example.org", "scope": "mail"}`)
			return
		}
		fmt.Fprint(w, `{"active": false}`)
	}))
	t.Cleanup(s.Close)
	return s
}

func oauthSection(url, dir string) string {
	return fmt.Sprintf(`oauth: {introspection: "%s/introspect", timeout: 1m, credentials_file: %s/client, login: email, scopes: [mail]}`, url, dir)
}

func TestATokenLogsIn(t *testing.T) {
	dir, next, issuer := t.TempDir(), newSink(t), tokenServer(t)
	writePair(t, dir, 1)
	file(t, dir+"/client", "mtad:machine\n")
	list := passwords(t, dir, map[string]string{"bob": "other"})
	a, _ := start(t, read(t, dir, fmt.Sprintf(backends, dir, oauthSection(issuer.URL, dir)+", password_file: "+list, next.addr[len("127.0.0.1:"):])))
	open := func() *speaker {
		s := speak(t, a.Addr("submissions"), true)
		if got := s.say("EHLO client.test", "250"); !strings.Contains(got, "AUTH PLAIN LOGIN OAUTHBEARER XOAUTH2\r\n") {
			t.Errorf("offered %q", got)
		}
		return s
	}
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	s := open()
	s.say("AUTH OAUTHBEARER "+b64("n,a=bob,\x01auth=Bearer good-token\x01\x01"), "334 "+b64(`{"status":"invalid_token","scope":"mail"}`))
	s.say("AQ==", "535 5.7.8")
	s.say("AUTH XOAUTH2", "334 ")
	s.say(b64("user=ann@example.org\x01auth=Bearer bad-token\x01\x01"), "334 "+b64(`{"status":"401","schemes":"bearer","scope":"mail"}`))
	s.say("", "535 5.7.8")
	s = open()
	s.say("AUTH OAUTHBEARER", "334 ")
	s.say(b64("n,,\x01auth=Bearer good-token\x01\x01"), "235")
	s.say("MAIL FROM:<bob@example.org>", "553")
	s.say("MAIL FROM:<ann@example.org>", "250")
	open().say(authPlain("bob", "other"), "235")

	clear := speak(t, a.Addr("submission"), false)
	clear.say("EHLO client.test", "250")
	clear.say("AUTH OAUTHBEARER "+b64("n,,\x01auth=Bearer good-token\x01\x01"), "538 5.7.11")

	issuer.Close()
	s = open()
	s.say("AUTH OAUTHBEARER "+b64("n,,\x01auth=Bearer good-token\x01\x01"), "454 4.7.0")
	s.say(authPlain("bob", "other"), "235")
}

// TestCurlSubmitsWithAToken is a client that was written by others.
func TestCurlSubmitsWithAToken(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not installed")
	}
	dir, next, issuer := t.TempDir(), newSink(t), tokenServer(t)
	writePair(t, dir, 1)
	file(t, dir+"/client", "mtad:machine\n")
	message := dir + "/message.eml"
	file(t, message, "From: ann@example.org\r\nSubject: by token\r\n\r\nbody\r\n")
	for _, mechanism := range []string{"OAUTHBEARER", "XOAUTH2"} {
		section := oauthSection(issuer.URL, dir) + ", mechanisms: [" + mechanism + "]"
		a, l := start(t, read(t, t.TempDir(), fmt.Sprintf(backends, dir, section, next.addr[len("127.0.0.1:"):])))
		send := func(token string) (string, error) {
			out, err := exec.Command(curl, "--silent", "--show-error", "--verbose", "--insecure", "--url", "smtps://"+a.Addr("submissions").String(),
				"--user", "ann@example.org:", "--oauth2-bearer", token, "--mail-from", "ann@example.org", "--mail-rcpt", "c@elsewhere.example", "--upload-file", message).CombinedOutput()
			return string(out), err
		}
		if out, err := send("good-token"); err != nil {
			t.Fatalf("%s: %v\n%s\n%s", mechanism, err, out, l)
		}
		if got := string(next.wait(t).data); !strings.Contains(got, "Subject: by token\r\n") {
			t.Errorf("%s: got %q", mechanism, got)
		}
		if out, err := send("bad-token"); err == nil || !strings.Contains(out, "Login denied") {
			t.Errorf("%s: a bad token: %v\n%s", mechanism, err, out)
		}
		if strings.Contains(l.String(), "-token") {
			t.Errorf("the log holds the token:\n%s", l)
		}
	}
}
