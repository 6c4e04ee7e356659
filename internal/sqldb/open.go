// Package sqldb opens the databases that mtad asks: PostgreSQL, MySQL and
// MariaDB, and SQLite. It knows what each driver needs so that a question stays
// a question: values are bound and never pasted into the text, a text is one
// statement, a server is given no file of ours, an SQLite file is opened for
// reading and is never made. What is asked, and what the answer means, is left
// to the caller.
//
// Placeholders are those of the database: $1 for PostgreSQL, ? for the others.
package sqldb

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/lib/pq"
	"modernc.org/sqlite"
)

// The names of Options.Driver.
const (
	Postgres = "postgres"
	MySQL    = "mysql"
	SQLite   = "sqlite"
)

// Options describe a database.
type Options struct {
	Driver string
	// DSN says where the database is, in the words of its driver:
	// "host=/run/postgresql dbname=mail user=mtad" or a postgres:// URL;
	// "user:password@unix(/run/mysqld/mysqld.sock)/mail"; the path of an SQLite file,
	// or a file: URI.
	DSN string
	// Connections is how many there are at most: 4. Idle ones are closed after a
	// minute, others after half an hour.
	Connections int
	// Timeout is for the connection to be made, and for a server that says nothing at
	// all: 5 s. Questions have the deadline of their context beside that.
	Timeout time.Duration
}

const (
	idleTime = time.Minute
	lifeTime = 30 * time.Minute
)

// Open makes a pool; the database need not run yet. An error does not show the
// DSN, which may hold a password.
func Open(o Options) (*sql.DB, error) {
	if o.Connections <= 0 {
		o.Connections = 4
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	c, err := connector(o)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(o.Connections)
	db.SetMaxIdleConns(o.Connections)
	db.SetConnMaxIdleTime(idleTime)
	db.SetConnMaxLifetime(lifeTime)
	return db, nil
}

func connector(o Options) (driver.Connector, error) {
	switch o.Driver {
	case Postgres:
		return postgres(o)
	case MySQL:
		return maria(o)
	case SQLite:
		return file(o)
	}
	return nil, fmt.Errorf("sqldb: no driver %q", o.Driver)
}

func postgres(o Options) (driver.Connector, error) {
	cfg, err := pq.NewConfig(o.DSN)
	if err != nil {
		return nil, errors.New(`sqldb: postgres: the DSN cannot be read: write "host=… dbname=… user=…" or a postgres:// URL`)
	}
	if cfg.ConnectTimeout <= 0 {
		cfg.ConnectTimeout = o.Timeout
	}
	c, err := pq.NewConnectorConfig(cfg)
	if err != nil {
		return nil, errors.New("sqldb: postgres: the DSN cannot be used")
	}
	c.Dialer(&patient{dialer: net.Dialer{Timeout: o.Timeout}, each: o.Timeout})
	return c, nil
}

func maria(o Options) (driver.Connector, error) {
	cfg, err := mysql.ParseDSN(o.DSN)
	if err != nil {
		return nil, errors.New(`sqldb: mysql: the DSN cannot be read: write "user:password@unix(/path)/database" or "…@tcp(host:3306)/database"`)
	}
	// Whatever the DSN says: values are bound by the server, one statement at a time,
	// and the server does not read our files.
	cfg.InterpolateParams, cfg.MultiStatements, cfg.AllowAllFiles = false, false, false
	cfg.Logger = &mysql.NopLogger{}
	if cfg.Timeout <= 0 {
		cfg.Timeout = o.Timeout
	}
	return mysql.NewConnector(cfg)
}

func file(o Options) (driver.Connector, error) {
	dsn := o.DSN
	if !strings.HasPrefix(dsn, "file:") {
		if !strings.HasPrefix(dsn, "/") {
			return nil, errors.New("sqldb: sqlite: the DSN is the whole path of a file, or a file: URI")
		}
		dsn = "file:" + strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(dsn)
	}
	separator := "?"
	if strings.Contains(dsn, "?") {
		separator = "&"
	}
	if !strings.Contains(dsn, "mode=") {
		dsn += separator + "mode=ro"
		separator = "&"
	}
	// Nothing is written, whatever the mode; a writer elsewhere is waited for.
	dsn += fmt.Sprintf("%s_pragma=busy_timeout(%d)&_pragma=query_only(1)", separator, o.Timeout.Milliseconds())
	c, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, errors.New("sqldb: sqlite: the DSN cannot be read")
	}
	return c, nil
}
