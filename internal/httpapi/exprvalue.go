package httpapi

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"mtad/queue"
)

func parseIDs(s string) ([]queue.ID, error) {
	parts := strings.Split(s, ",")
	if len(parts) > maxExprIDs {
		return nil, fmt.Errorf("more than %d IDs", maxExprIDs)
	}
	var ids []queue.ID
	for _, p := range parts {
		id, err := queue.ParseID(p)
		if err != nil {
			return nil, errors.New("malformed queue ID " + strconv.Quote(cut(p, 30)))
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func parseStates(s string) ([]queue.State, error) {
	var states []queue.State
	parts := strings.Split(s, ",")
	if len(parts) > len(queue.States) {
		return nil, errors.New("more states than there are")
	}
	for _, p := range parts {
		st, err := queue.ParseState(p)
		if err != nil {
			return nil, errors.New("want unfiltered, incoming, active or deferred")
		}
		states = append(states, st)
	}
	return states, nil
}

func parseBool(s string) (*bool, error) {
	v := s == "true"
	if !v && s != "false" {
		return nil, errors.New("want true or false")
	}
	return &v, nil
}

// parseAge reads a Go duration, or whole days ("2d").
func parseAge(s string) (time.Duration, error) {
	if n, ok := strings.CutSuffix(s, "d"); ok {
		days, err := strconv.ParseUint(n, 10, 16)
		if err != nil || days > 36500 || days == 0 {
			return 0, errors.New("want an age like 90s, 15m, 2h or 3d")
		}
		return time.Duration(days) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, errors.New("want an age like 90s, 15m, 2h or 3d")
	}
	return d, nil
}

// parseSize reads octets, with k, M or G for powers of 1024.
func parseSize(s string) (int64, error) {
	shift := 0
	if s != "" {
		switch s[len(s)-1] {
		case 'k', 'K':
			shift = 10
		case 'M':
			shift = 20
		case 'G':
			shift = 30
		}
	}
	if shift > 0 {
		s = s[:len(s)-1]
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > 1<<62>>shift {
		return 0, errors.New("want a size like 500, 10k or 5M")
	}
	return n << shift, nil
}
