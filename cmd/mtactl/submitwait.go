package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"mtad/api"
)

// Bounds of the time between two looks at a message that is waited for.
const (
	firstGlance = 20 * time.Millisecond
	lastGlance  = 2 * time.Second
)

// await looks at the message until it is as far as was asked for. A look that
// fails for now is made again.
func (s *submitting) await(ctx context.Context, id string) error {
	if s.most > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.most)
		defer cancel()
	}
	pause := firstGlance
	for {
		res, err := s.t.client.GetSubmissionWithResponse(ctx, id)
		switch err := check(res, err); {
		case ctx.Err() != nil:
		case err == nil:
			if end, outcome := s.outcome(res.JSON200); end {
				return outcome
			}
		case res != nil && res.StatusCode() == http.StatusNotFound:
			return &exitError{status: exitWaiting, msg: id + ": its record is gone"}
		case res != nil && res.StatusCode() < 500 && res.StatusCode() != http.StatusTooManyRequests && res.StatusCode() != 0:
			return err
		}
		select {
		case <-ctx.Done():
			return &exitError{status: exitWaiting, msg: id + " is in the queue; the wait for it ended first"}
		case <-time.After(pause):
			pause = min(2*pause, lastGlance)
		}
	}
}

// outcome says whether the wait is over, and how.
func (s *submitting) outcome(m *api.Submission) (end bool, err error) {
	switch {
	case m.Status == "held":
		return true, &exitError{status: exitFiltered, msg: m.ID + " is held"}
	case m.Status == "discarded" || m.Status == "rejected":
		return true, &exitError{status: exitFiltered, msg: m.ID + " was " + m.Status + " by a filter"}
	case m.Status == "deleted":
		return true, &exitError{status: exitFailed, msg: m.ID + " was deleted"}
	case m.Status == "filtering":
		return false, nil
	case s.wait == "filtered":
		return true, nil
	case m.Status != "done":
		return false, nil
	}
	var failed []string
	for _, r := range m.Recipients {
		if r.Status != "delivered" && r.Status != "relayed" {
			failed = append(failed, fmt.Sprintf("%s: %s %s", r.Path, r.Status, r.LastReply))
		}
	}
	if len(failed) > 0 {
		return true, &exitError{status: exitFailed, msg: m.ID + ": " + strings.Join(failed, "; ")}
	}
	return true, nil
}
