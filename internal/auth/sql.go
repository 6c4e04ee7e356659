package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"
)

// SQLOptions describe logins in a database.
type SQLOptions struct {
	// DB is closed when the SQL is no longer in use.
	DB *sql.DB
	// Query has one parameter, the login in lower case, and one row as its result, or
	// none. The column "login", if there is one, is the login's true name; every
	// other column is an entry as in a password file, and NULL is none.
	Query string
	// Senders has the same parameter; its first column is what the login may use as
	// reverse-path, as in the first column of a table of senders. "" asks nothing.
	Senders string
	// Realm is put behind a login without "@" that is not found; see FileOptions.
	Realm string
	// Hashes is how many passwords are hashed at a time; see FileOptions.
	Hashes int
	// Timeout is for each query, with the wait for a connection: 5 s.
	Timeout time.Duration
	// Reason takes out of an error what may be a value that was asked for; nil takes
	// nothing out.
	Reason func(error) error
}

// Bounds of what a database may say.
const (
	maxColumns = 8
	maxSenders = 1000
	maxAddress = 320
)

// SQL is logins in a database, which is asked each time: nothing is kept. Its
// methods are safe for concurrent use.
type SQL struct {
	o SQLOptions
	vault
	standIns standIns
}

// NewSQL makes one; the database need not run yet.
func NewSQL(o SQLOptions) (*SQL, error) {
	o.Timeout = positive(o.Timeout, 5*time.Second)
	if o.Reason == nil {
		o.Reason = func(err error) error { return err }
	}
	s := &SQL{o: o, vault: newVault(o.Hashes)}
	if err := s.standIns.init(); err != nil {
		return nil, err
	}
	// Sessions use an SQL that a reload has replaced until they end.
	runtime.AddCleanup(s, func(db *sql.DB) { _ = db.Close() }, o.DB)
	return s, nil
}

// Check asks the database whether it understands the queries. Its error may be
// shown as it is: no login was asked for.
func (s *SQL) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	for _, query := range []string{s.o.Query, s.o.Senders} {
		if query == "" {
			continue
		}
		st, err := s.o.DB.PrepareContext(ctx, query)
		if err != nil {
			return fmt.Errorf("auth: sql: %w", err)
		}
		_ = st.Close()
	}
	return nil
}

// SCRAM says no: who has keys is not known before a login is asked for.
func (s *SQL) SCRAM() bool { return false }

// entry asks for a login, and for the same with the realm whether or not the
// first is there: that takes as long for the one as for the other.
func (s *SQL) entry(ctx context.Context, login string) (*entry, error) {
	names := []string{Fold(login)}
	if s.o.Realm != "" && !strings.Contains(login, "@") {
		names = append(names, names[0]+"@"+s.o.Realm)
	}
	e := &entry{name: names[len(names)-1], vault: &s.vault}
	for _, name := range names {
		r, err := s.ask(ctx, name)
		switch {
		case err != nil:
			return nil, err
		case r != nil && !e.exists:
			e.name, e.own, e.exists = r.name, &r.secret, true
		}
	}
	if e.exists && e.opens() {
		s.standIns.add(s.slot(e.name), e.name, e.own)
	}
	e.like = s.standIns.find(s.slot(e.name))
	return e, nil
}

// ask runs the query; nil without an error: there is no such login.
func (s *SQL) ask(ctx context.Context, login string) (*sqlRow, error) {
	if !ValidLogin(login) || !utf8.ValidString(login) {
		return nil, nil // a database may answer with an error, or with somebody else
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	rows, err := s.o.DB.QueryContext(ctx, s.o.Query, login)
	if err != nil {
		return nil, s.trouble(err)
	}
	defer rows.Close()
	r, err := readRow(rows, login)
	switch {
	case err != nil:
		return nil, s.trouble(err)
	case rows.Next():
		return nil, s.trouble(errors.New("the query has more than one row for a login"))
	case rows.Err() != nil:
		return nil, s.trouble(rows.Err())
	}
	return r, nil
}

func (s *SQL) trouble(err error) error { return fmt.Errorf("auth: sql: %w", s.o.Reason(err)) }

// sqlRow is the answer to the query.
type sqlRow struct {
	name   string
	named  bool // the row says so itself
	secret secret
}

// readRow reads the first row; nil without an error: there is none.
func readRow(rows *sql.Rows, login string) (*sqlRow, error) {
	names, err := rows.Columns()
	switch {
	case err != nil:
		return nil, err
	case len(names) == 0 || len(names) > maxColumns:
		return nil, fmt.Errorf("the query has %d columns, not 1 to %d", len(names), maxColumns)
	case !rows.Next():
		return nil, rows.Err()
	}
	values := make([]sql.RawBytes, len(names))
	targets := make([]any, len(names))
	for i := range values {
		targets[i] = &values[i]
	}
	if err := rows.Scan(targets...); err != nil {
		return nil, errors.New("a column of the query is not text")
	}
	r := &sqlRow{name: login}
	for i, name := range names {
		if err := r.column(name, values[i]); err != nil {
			return nil, err
		}
	}
	return r.finish(), nil
}

// column takes a value. Errors do not show it.
func (r *sqlRow) column(name string, value []byte) error {
	if len(value) > maxTableLine {
		return fmt.Errorf("the column %q has more than %d octets", name, maxTableLine)
	}
	text := strings.TrimSpace(string(value))
	switch {
	case text == "":
		return nil
	case strings.EqualFold(name, "login"):
		r.name, r.named = Fold(text), true
		if !ValidLogin(r.name) || !utf8.ValidString(r.name) {
			return errors.New("the column login has what is no login")
		}
		return nil
	case text[0] == '!' || text[0] == '*':
		r.secret.shut = true
		return nil
	}
	if err := r.secret.add(text); err != nil {
		return fmt.Errorf("the column %q: %w", name, err)
	}
	return nil
}

// finish returns nil where it is not certain that the row is that of the login:
// to many databases "Bär" is "bar", and only a column says which of them it is.
func (r *sqlRow) finish() *sqlRow {
	if !r.named && strings.ContainsFunc(r.name, func(c rune) bool { return c >= utf8.RuneSelf }) {
		return nil
	}
	if r.secret.shut {
		r.secret = secret{shut: true}
	}
	return r
}

// Senders are the addresses that a login may use, by the second query: at most
// 1000. What has no "@" is left out.
func (s *SQL) Senders(ctx context.Context, login string) ([]string, error) {
	if s.o.Senders == "" || !utf8.ValidString(login) {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	rows, err := s.o.DB.QueryContext(ctx, s.o.Senders, login)
	if err != nil {
		return nil, s.trouble(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		address, err := readSender(rows)
		if err == nil && len(all) == maxSenders {
			err = fmt.Errorf("a login has more than %d senders", maxSenders)
		}
		if err != nil {
			return nil, s.trouble(err)
		}
		if strings.Contains(address, "@") && len(address) <= maxAddress {
			all = append(all, address)
		}
	}
	if rows.Err() != nil {
		return nil, s.trouble(rows.Err())
	}
	return all, nil
}

func readSender(rows *sql.Rows) (string, error) {
	names, err := rows.Columns()
	if err != nil || len(names) != 1 {
		return "", errors.New("the query of senders has not one column")
	}
	var address sql.RawBytes
	if err := rows.Scan(&address); err != nil {
		return "", errors.New("the column of senders is not text")
	}
	return strings.TrimSpace(string(address)), nil
}
