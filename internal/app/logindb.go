package app

import (
	"context"

	"mtad/internal/auth"
	"mtad/internal/config"
	"mtad/internal/sqldb"
)

// database is where the logins of a section are. That it does not answer, or
// does not understand the queries, is said at once, and is no reason not to
// start: it may come back, and until it does clients are told 454.
func (s *logins) database(name string, section config.Auth, p private) (*auth.SQL, error) {
	o := section.SQL
	db, err := sqldb.Open(sqldb.Options{Driver: o.Driver, DSN: p.dsn, Connections: o.Connections, Timeout: o.Timeout})
	if err != nil {
		return nil, err
	}
	source, err := auth.NewSQL(auth.SQLOptions{
		DB: db, Query: o.Query, Senders: o.Senders, Realm: section.Realm, Timeout: o.Timeout, Reason: sqldb.Reason,
	})
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	if err := source.Check(context.Background()); err != nil {
		s.log.Error("database of logins cannot be asked", "section", name, "error", err)
	}
	return source, nil
}
