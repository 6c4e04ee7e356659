package sqldb_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/lib/pq"

	"mtad/internal/sqldb"
)

func TestADSNThatCannotBeReadIsNotShown(t *testing.T) {
	for _, o := range []sqldb.Options{
		{Driver: sqldb.Postgres, DSN: "postgres://mtad:hunter2@[::1/x"},
		{Driver: sqldb.Postgres, DSN: "host='hunter2"},
		{Driver: sqldb.MySQL, DSN: "mtad:hunter2@nowhere"},
		{Driver: sqldb.SQLite, DSN: "hunter2.db"},
		{Driver: sqldb.SQLite, DSN: "file:/hunter2.db?%zz"},
		{Driver: "oracle", DSN: "hunter2"},
		{DSN: "hunter2"},
	} {
		if _, err := sqldb.Open(o); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v", o.Driver, err)
		}
	}
}

// TestAnSQLiteFileIsOnlyRead: it is not made, and not written to, whatever its
// DSN says, and its name is not taken for anything else.
func TestAnSQLiteFileIsOnlyRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a b%41?x#y.db")
	for dsn, made := range map[string]bool{path: false, "file:" + dir + "/other.db?mode=rwc": true} {
		db, err := sqldb.Open(sqldb.Options{Driver: sqldb.SQLite, DSN: dsn})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(t.Context(), "CREATE TABLE t (a TEXT)"); err == nil {
			t.Errorf("%s: a table was made", dsn)
		}
		db.Close()
		all, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if !made && len(all) > 0 {
			t.Errorf("%s: made %v", dsn, all)
		}
		_ = os.Remove(filepath.Join(dir, "other.db"))
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil { // an empty database
		t.Fatal(err)
	}
	db, err := sqldb.Open(sqldb.Options{Driver: sqldb.SQLite, DSN: path})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM sqlite_master").Scan(&n); err != nil || n != 0 {
		t.Errorf("got %d, %v", n, err)
	}
}

func TestReasonHasNoText(t *testing.T) {
	for want, err := range map[string]error{
		"postgres: SQLSTATE 22P02 (invalid_text_representation)": &pq.Error{Code: "22P02", Message: "hunter2"},
		"mysql: error 1366 (SQLSTATE HY000)":                     &mysql.MySQLError{Number: 1366, SQLState: [5]byte{'H', 'Y', '0', '0', '0'}, Message: "hunter2"},
		"dial: refused":                                          errors.New("dial: refused"),
	} {
		if got := sqldb.Reason(err).Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	path := filepath.Join(t.TempDir(), "none.db")
	db, err := sqldb.Open(sqldb.Options{Driver: sqldb.SQLite, DSN: path})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.PingContext(t.Context()); err == nil || sqldb.Reason(err).Error() != "sqlite: result code 14" {
		t.Errorf("got %v", err)
	}
}

// TestAServerThatIsSilentIsLeft: also where nobody set a deadline.
func TestAServerThatIsSilentIsLeft(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	host, port, _ := net.SplitHostPort(l.Addr().String())
	db, err := sqldb.Open(sqldb.Options{Driver: sqldb.Postgres, DSN: "host=" + host + " port=" + port + " user=x dbname=x sslmode=disable", Timeout: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.PingContext(t.Context()); err == nil {
		t.Error("it answered")
	}
}
