package sqldb

import (
	"errors"
	"fmt"

	"github.com/go-sql-driver/mysql"
	"github.com/lib/pq"
	"modernc.org/sqlite"
)

// Reason is err without what a server put into its text, which may be a value
// that was asked for: the code alone, by which the text can be found. Other
// errors, such as those of the network, are returned as they are.
func Reason(err error) error {
	var p *pq.Error
	var m *mysql.MySQLError
	var s *sqlite.Error
	switch {
	case errors.As(err, &p):
		return fmt.Errorf("postgres: SQLSTATE %s (%s)", string(p.Code), p.Code.Name())
	case errors.As(err, &m):
		return fmt.Errorf("mysql: error %d (SQLSTATE %s)", m.Number, string(m.SQLState[:]))
	case errors.As(err, &s):
		return fmt.Errorf("sqlite: result code %d", s.Code())
	}
	return err
}
