package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-crypt/crypt/algorithm/shacrypt"
	"github.com/xdg-go/scram"

	"mtad/internal/sqldb"
	"mtad/internal/sqldb/dbtest"
)

func TestLoginsInSQLite(t *testing.T)   { testLogins(t, dbtest.Start(t, sqldb.SQLite)) }
func TestLoginsInPostgres(t *testing.T) { testLogins(t, dbtest.Start(t, sqldb.Postgres)) }
func TestLoginsInMariaDB(t *testing.T)  { testLogins(t, dbtest.Start(t, sqldb.MySQL)) }

// fill makes and fills the tables; SQLite's file is made by a DSN that may
// write.
func fill(t testing.TB, e *dbtest.Engine, statements ...string) {
	t.Helper()
	dsn := e.DSN
	if e.Driver == sqldb.SQLite {
		dsn = "file:" + dsn + "?mode=rwc"
	}
	db, err := sqldb.Open(sqldb.Options{Driver: e.Driver, DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if e.Driver == sqldb.SQLite {
		statements = append([]string{"PRAGMA query_only = 0"}, statements...)
	}
	conn, err := db.Conn(t.Context()) // the pragma is for one
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, s := range statements {
		if _, err := conn.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// openSQL asks an engine, with ? in queries for its placeholder.
func openSQL(t testing.TB, e *dbtest.Engine, o SQLOptions) *SQL {
	t.Helper()
	db, err := sqldb.Open(sqldb.Options{Driver: e.Driver, DSN: e.DSN, Timeout: o.Timeout})
	if err != nil {
		t.Fatal(err)
	}
	o.DB, o.Reason = db, sqldb.Reason
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Minute // the machine may be busy
	}
	o.Query = strings.Replace(o.Query, "?", e.Mark(1), 1)
	o.Senders = strings.Replace(o.Senders, "?", e.Mark(1), 1)
	s, err := NewSQL(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return s
}

func shaHash(t testing.TB, password string) string {
	t.Helper()
	h, err := shacrypt.New(shacrypt.WithSHA512(), shacrypt.WithIterations(1000))
	if err != nil {
		t.Fatal(err)
	}
	d, err := h.Hash(password)
	if err != nil {
		t.Fatal(err)
	}
	return d.Encode()
}

const (
	justPassword = "SELECT password FROM users WHERE login = ?"
	withLogin    = "SELECT login, password, scram FROM users WHERE login = ?"
)

func fillUsers(t testing.TB, e *dbtest.Engine) {
	t.Helper()
	statements := []string{
		"CREATE TABLE users (login varchar(255) NOT NULL, password varchar(1000), scram varchar(1000))",
		"CREATE TABLE senders (login varchar(255), address varchar(255))",
		"INSERT INTO senders VALUES ('ann', 'Sales@example.org'), ('ann', '@.lists.example'), ('ann', NULL), ('ann', 'nonsense'), ('bob', 'bob@example.org')",
	}
	for _, u := range [][3]string{
		{"ann", shaHash(t, "secret"), ""},
		{"bar", keysOf(t, "beer"), ""},
		{"both@example.org", shaHash(t, "secret"), keysOf(t, "secret")},
		{"halfshut", "!" + shaHash(t, "secret"), keysOf(t, "secret")},
		{"twice", shaHash(t, "secret"), ""}, {"twice", shaHash(t, "other"), ""},
		{"plain", "secret", ""},
		{"long", strings.Repeat("x", 900), ""},
		{"none", "", ""},
	} {
		statements = append(statements, fmt.Sprintf("INSERT INTO users VALUES ('%s', NULLIF('%s', ''), NULLIF('%s', ''))", u[0], u[1], u[2]))
	}
	fill(t, e, statements...)
}

func plainArg(login, password string) string { return "PLAIN " + b64("\x00"+login+"\x00"+password) }

// testLogins is what every engine has to do.
func testLogins(t *testing.T, e *dbtest.Engine) {
	fillUsers(t, e)
	t.Run("dialogues", func(t *testing.T) { testDialogues(t, e) })
	t.Run("injection", func(t *testing.T) { testInjection(t, e) })
	t.Run("collation", func(t *testing.T) { testCollation(t, e) })
	t.Run("SCRAM", func(t *testing.T) { testSQLSCRAM(t, e) })
	t.Run("senders", func(t *testing.T) { testSenders(t, e) })
	t.Run("queries that are wrong", func(t *testing.T) { testWrongQueries(t, e) })
	if e.Driver != sqldb.SQLite {
		t.Run("silent", func(t *testing.T) { testSilent(t, e) })
	}
	t.Run("down", func(t *testing.T) { testDown(t, e) })
}

func testDialogues(t *testing.T, e *dbtest.Engine) {
	var log bytes.Buffer
	s := &Service{
		Backend: &Local{SQL: openSQL(t, e, SQLOptions{Query: withLogin, Realm: "example.org"})}, Failures: 100,
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}
	if got := s.Keyword(t.Context(), &Peer{}); got != "AUTH PLAIN LOGIN" {
		t.Errorf("offered %q", got)
	}
	for _, c := range []struct {
		login, password string
		code            int
		as              string
	}{
		{"ann", "secret", 235, "ann"},
		{"ANN", "secret", 235, "ann"},
		{"ann", "Secret", 535, ""},
		{"bar", "beer", 235, "bar"},
		{"both@example.org", "secret", 235, "both@example.org"},
		{"both", "secret", 235, "both@example.org"},
		{"both", "hunter2", 535, ""},
		{"both@example.com", "secret", 535, ""},
		{"hunter2", "secret", 535, ""},
		{"halfshut", "secret", 535, ""},
		{"none", "secret", 535, ""},
		{"none", "", 535, ""},
		{"twice", "secret", 454, ""},
		{"plain", "secret", 454, ""},
		{"long", "secret", 454, ""},
		{"\xff\xfehunter2", "secret", 535, ""},
		{"hunter2\u20ac", "secret", 535, ""},
		{strings.Repeat("x", 255), "secret", 535, ""},
	} {
		login, code, _ := dialogueOf(s, session("192.0.2.1"), plainArg(c.login, c.password))
		if code != c.code || login != c.as {
			t.Errorf("%q with %q: got %d for %q, want %d for %q", c.login, c.password, code, login, c.code, c.as)
		}
	}
	for _, word := range []string{"secret", "hunter2"} {
		if strings.Contains(log.String(), word) {
			t.Errorf("the log holds %q:\n%s", word, &log)
		}
	}
}

// testInjection: a login is a value, whatever it looks like.
func testInjection(t *testing.T, e *dbtest.Engine) {
	s := &Service{Backend: &Local{SQL: openSQL(t, e, SQLOptions{Query: justPassword})}, Failures: 100}
	for _, login := range []string{
		"'/**/OR/**/'1'='1", "ann'--", "ann'#", "ann\\", `ann"`, "an_", "an%", "x';DROP/**/TABLE/**/users;--", "$1", "?", "ann;", "ann/*", "\u02bcOR\u02bc1",
		"\xbf'OR/**/1=1#",
	} {
		if as, code, _ := dialogueOf(s, session("192.0.2.1"), plainArg(login, "secret")); code != 535 || as != "" {
			t.Errorf("%q: got %d for %q", login, code, as)
		}
	}
	if as, code, _ := dialogueOf(s, session("192.0.2.1"), plainArg("ann", "secret")); code != 235 || as != "ann" {
		t.Errorf("ann: got %d for %q", code, as)
	}
}

// testCollation: to MariaDB "bär" is "bar", and who knows the password of bar is
// not to be let in as another.
func testCollation(t *testing.T, e *dbtest.Engine) {
	bare := &Service{Backend: &Local{SQL: openSQL(t, e, SQLOptions{Query: justPassword})}}
	if as, code, _ := dialogueOf(bare, session("192.0.2.1"), plainArg("bär", "beer")); code != 535 || as != "" {
		t.Errorf("got %d for %q", code, as)
	}
	named := &Service{Backend: &Local{SQL: openSQL(t, e, SQLOptions{Query: withLogin})}}
	if as, _, _ := dialogueOf(named, session("192.0.2.1"), plainArg("bär", "beer")); as != "" && as != "bar" {
		t.Errorf("logged in as %q", as)
	}
}

func testSQLSCRAM(t *testing.T, e *dbtest.Engine) {
	local := &Local{SQL: openSQL(t, e, SQLOptions{Query: withLogin}), Offer: []string{Scram, Plain}}
	if got := local.Mechanisms(t.Context(), &Peer{}); !slices.Equal(got, []string{Scram, Plain}) {
		t.Errorf("offers %v", got)
	}
	for _, c := range []struct {
		login, password string
		want            error
	}{
		{"both@example.org", "secret", nil}, {"both@example.org", "other", ErrRefused}, {"halfshut", "secret", ErrRefused},
		{"ann", "secret", ErrRefused}, {"nobody", "secret", ErrRefused},
	} {
		x, err := local.Begin(t.Context(), Scram, &Peer{})
		if err != nil {
			t.Fatal(err)
		}
		client, err := scram.SHA256.NewClient(c.login, c.password, "")
		if err != nil {
			t.Fatal(err)
		}
		err = scramClient(t, x, client.NewConversation(), nil)
		if !errors.Is(err, c.want) || err == nil && x.Login() != c.login {
			t.Errorf("%s with %s: %v for %q", c.login, c.password, err, x.Login())
		}
		x.Close()
	}
}

func testSenders(t *testing.T, e *dbtest.Engine) {
	s := openSQL(t, e, SQLOptions{Query: withLogin, Senders: "SELECT address FROM senders WHERE login = ?"})
	for login, want := range map[string][]string{
		"ann": {"@.lists.example", "Sales@example.org"}, "bob": {"bob@example.org"}, "eve": nil, "x'OR'1'='1": nil, "\xff": nil,
	} {
		got, err := s.Senders(t.Context(), login)
		slices.Sort(got)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v", login, got, err)
		}
	}
	var many strings.Builder
	for i := range maxSenders + 1 {
		fmt.Fprintf(&many, ", ('many', '%d@example.org')", i)
	}
	fill(t, e, "INSERT INTO senders VALUES ('many', 'x')"+many.String())
	if got, err := s.Senders(t.Context(), "many"); err == nil || got != nil {
		t.Errorf("%d senders, %v", len(got), err)
	}
}

// testWrongQueries: an error of the database is trouble, never a wrong password,
// and what was typed is not in it.
func testWrongQueries(t *testing.T, e *dbtest.Engine) {
	for _, query := range []string{
		"SELECT password FROM userz WHERE login = ?", "SELEKT ?", "SELECT password FROM users WHERE login = ? AND CAST(login AS integer) = 1 AND nothing = 1",
	} {
		s := openSQL(t, e, SQLOptions{Query: query})
		if err := s.Check(t.Context()); err == nil {
			t.Errorf("%s: not noticed at the start", query)
		}
		if _, err := s.entry(t.Context(), "hunter2"); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", query, err)
		}
		if _, code, _ := dialogueOf(&Service{Backend: &Local{SQL: s}}, session("192.0.2.1"), plainArg("ann", "secret")); code != 454 {
			t.Errorf("%s: got %d", query, code)
		}
	}
	if e.Driver == sqldb.Postgres { // says the value
		s := openSQL(t, e, SQLOptions{Query: "SELECT password FROM users WHERE length(login) = CAST(CAST(? AS text) AS integer)"})
		if _, err := s.entry(t.Context(), "hunter2"); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "22P02") {
			t.Errorf("got %v", err)
		}
	}
	good := openSQL(t, e, SQLOptions{Query: withLogin, Senders: "SELECT address FROM senders WHERE login = ?"})
	if err := good.Check(t.Context()); err != nil {
		t.Error(err)
	}
	nine := openSQL(t, e, SQLOptions{Query: "SELECT 1, 2, 3, 4, 5, 6, 7, 8, password FROM users WHERE login = ?"})
	if _, err := nine.entry(t.Context(), "ann"); err == nil {
		t.Error("nine columns were taken")
	}
}

// testSilent: the server is connected, and then says no more.
func testSilent(t *testing.T, e *dbtest.Engine) {
	valve := dbtest.NewValve(t, e)
	db, err := sqldb.Open(sqldb.Options{Driver: e.Driver, DSN: valve.DSN, Timeout: 2 * time.Second, Connections: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for range 100 { // the machine may be busy
		if err = db.PingContext(t.Context()); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	valve.Shut()
	query := strings.Replace(withLogin, "?", e.Mark(1), 1)
	s, err := NewSQL(SQLOptions{DB: db, Query: query, Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if as, code, _ := dialogueOf(&Service{Backend: &Local{SQL: s}}, session("192.0.2.1"), plainArg("ann", "secret")); code != 454 || as != "" {
		t.Errorf("got %d for %q", code, as)
	}
}

// testDown ends the server: what is not known is not refused, and nobody is let
// in.
func testDown(t *testing.T, e *dbtest.Engine) {
	s := &Service{Backend: &Local{SQL: openSQL(t, e, SQLOptions{Query: withLogin})}}
	if _, code, _ := dialogueOf(s, session("192.0.2.1"), plainArg("ann", "secret")); code != 235 {
		t.Fatalf("got %d", code)
	}
	e.Stop()
	if e.Driver == sqldb.SQLite {
		e.DSN = filepath.Join(t.TempDir(), "none.db")
		s.Backend = &Local{SQL: openSQL(t, e, SQLOptions{Query: withLogin})}
	}
	for range 2 {
		for _, password := range []string{"secret", "wrong"} {
			if as, code, _ := dialogueOf(s, session("192.0.2.1"), plainArg("ann", password)); code != 454 || as != "" {
				t.Errorf("with %s: got %d for %q", password, code, as)
			}
		}
	}
	if e.Driver == sqldb.SQLite {
		if all, _ := filepath.Glob(e.DSN + "*"); all != nil {
			t.Errorf("made %v", all)
		}
	}
}

// TestADatabaseThatDoesNotAnswerIsTransientTrouble: somebody listens there, and
// says nothing.
func TestADatabaseThatDoesNotAnswerIsTransientTrouble(t *testing.T) {
	for _, driver := range []string{sqldb.Postgres, sqldb.MySQL} {
		t.Run(driver, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			host, port, _ := net.SplitHostPort(l.Addr().String())
			dsn := map[string]string{
				sqldb.Postgres: "host=" + host + " port=" + port + " user=x dbname=x sslmode=disable",
				sqldb.MySQL:    "x@tcp(" + l.Addr().String() + ")/x",
			}[driver]
			s := &Service{Backend: &Local{SQL: openSQL(t, &dbtest.Engine{Driver: driver, DSN: dsn}, SQLOptions{Query: justPassword, Timeout: 50 * time.Millisecond})}}
			if as, code, _ := dialogueOf(s, session("192.0.2.1"), plainArg("ann", "secret")); code != 454 || as != "" {
				t.Errorf("got %d for %q", code, as)
			}
		})
	}
}

// TestAnUnknownLoginOfADatabaseCostsWhatAKnownOneDoes: one hash for each
// attempt, and what it says of a login that is not there does not matter.
func TestAnUnknownLoginOfADatabaseCostsWhatAKnownOneDoes(t *testing.T) {
	e := dbtest.Start(t, sqldb.SQLite)
	fillUsers(t, e)
	s := openSQL(t, e, SQLOptions{Query: withLogin, Realm: "example.org"})
	asked := 0
	s.standIns.made = &secret{digest: counting{&asked}}
	try := func(login string) (passed bool, hashes int) {
		asked = 0
		_, code, _ := dialogueOf(&Service{Backend: &Local{SQL: s}}, session("192.0.2.1"), plainArg(login, "whatever"))
		return code == 235, asked
	}
	for _, login := range []string{"nobody", "nobody@example.org", "none", "halfshut", "\xff", "bär"} {
		if passed, hashes := try(login); passed || hashes != 1 {
			t.Errorf("%s: passed %v after %d hashes", login, passed, hashes)
		}
	}
	// Once a login was asked for, its hash stands in for all that do not exist, and
	// the same one for the same name.
	if passed, hashes := try("ann"); passed || hashes != 0 {
		t.Errorf("ann: passed %v after %d made-up hashes", passed, hashes)
	}
	a, err := s.entry(t.Context(), "nobody")
	if err != nil {
		t.Fatal(err)
	}
	known, err := s.entry(t.Context(), "ann")
	if err != nil {
		t.Fatal(err)
	}
	if a.like.digest == nil || a.like.digest.Encode() != known.own.digest.Encode() {
		t.Error("something else than the hash of a login that exists stands in")
	}
	if c := a.keys(); c.Iters != newIterations {
		// nobody has keys yet: those that new logins have
		if s.standIns.made.keys != nil {
			t.Errorf("made-up keys have %d iterations", c.Iters)
		}
	}
}

func TestStandInsDoNotChangeOnceTheyAreThere(t *testing.T) {
	var in standIns
	if err := in.init(); err != nil {
		t.Fatal(err)
	}
	one, two := &secret{digest: counting{}}, &secret{keys: &scram.StoredCredentials{}}
	if in.find(3) != in.made || in.made.digest == nil || in.made.keys.Iters != newIterations {
		t.Error("nothing of the usual cost stands in at first")
	}
	in.add(5, "ann", one)
	in.add(5, "bob", two) // the place is ann's
	if got := in.find(3); got.digest != one.digest {
		t.Errorf("got %+v", got)
	}
	if got := in.find(3); got.keys != two.keys {
		t.Errorf("keys: got %+v", got)
	}
	in.add(5, "ann", two) // her password was changed
	if got := in.find(60); got.digest != nil || got.keys != two.keys {
		t.Errorf("got %+v", got)
	}
}

// TestConnectionsAreBounded: who waits for one waits no longer than Timeout.
func TestConnectionsAreBounded(t *testing.T) {
	e := dbtest.Start(t, sqldb.SQLite)
	fillUsers(t, e)
	db, err := sqldb.Open(sqldb.Options{Driver: e.Driver, DSN: e.DSN, Connections: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	held, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	s, err := NewSQL(SQLOptions{DB: db, Query: withLogin, Timeout: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.entry(t.Context(), "ann"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// TestADatabaseThatNobodyAsksAnyMoreIsClosed: a reload replaces an SQL, and
// sessions may use the old one for as long as they last.
func TestADatabaseThatNobodyAsksAnyMoreIsClosed(t *testing.T) {
	e := dbtest.Start(t, sqldb.SQLite)
	fillUsers(t, e)
	db, err := sqldb.Open(sqldb.Options{Driver: e.Driver, DSN: e.DSN})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s, err := NewSQL(SQLOptions{DB: db, Query: withLogin})
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	if err := db.PingContext(t.Context()); err != nil {
		t.Fatalf("in use: %v", err)
	}
	runtime.KeepAlive(s)
	for range 10000 {
		runtime.GC()
		if err := db.PingContext(t.Context()); err != nil {
			return
		}
	}
	t.Error("the database is open still")
}
