package httpapi

import (
	"errors"
	"fmt"

	"mtad/filterproto"
	"mtad/queue"
)

// parseExpr reads a filter expression; the grammar is queue.ParseFilter's.
func parseExpr(s string) (queue.Filter, error) {
	f, err := queue.ParseFilter(s)
	var fe *queue.FilterError
	if errors.As(err, &fe) {
		return queue.Filter{}, failField(filterproto.CodeInvalidFilter, "filter", fmt.Sprintf("%q at %d: %s", fe.Term, fe.Pos, fe.Reason))
	}
	return f, err
}
