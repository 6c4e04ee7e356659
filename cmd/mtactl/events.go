package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mtad/api"
)

const (
	maxEvent  = 1 << 20         // octets of one line of a stream
	silence   = time.Minute     // without a heartbeat: the stream is dead
	reconnect = 3 * time.Second // between two streams
	maxAgo    = 10 * 366 * 24 * time.Hour
)

// eventReader follows the stream of events.
type eventReader struct {
	t      *tool
	params api.StreamEventsParams
	id     string // of what is being read
	data   []byte
	count  int
	max    int // 0: no end
}

func (t *tool) eventsCommand() *cobra.Command {
	r := eventReader{t: t}
	var types []string
	var since string
	c := &cobra.Command{
		Use: "events", Short: "Follow what happens to mail",
		Long: "Print events as they happen, from now on or from another place. It goes on until it is\ninterrupted, through restarts of mtad; nothing is left out. With -o json each line is an\nevent; its id is what --after takes. Events are kept for a day: an event of type gap says\nthat some before it are gone.",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			at, err := parseSince(since, time.Now())
			if err != nil {
				return err
			}
			if r.params.Since = at; !at.IsZero() && r.params.After != "" {
				return usage("--after and --since: want one of them")
			}
			for _, v := range types {
				if !api.EventType(v).Valid() {
					return usage("--type %q: no such type of event", v)
				}
				r.params.Type = append(r.params.Type, api.EventType(v))
			}
			if err := t.connect(); err != nil {
				return err
			}
			return r.follow(c.Context())
		},
	}
	f := c.Flags()
	f.StringVar(&r.params.After, "after", "", "begin after the event of this ID")
	f.StringVar(&since, "since", "", "begin at a time: 90s, 2h, or 2006-01-02T15:04:05Z")
	f.StringSliceVar(&types, "type", nil, "only these types")
	f.StringVar(&r.params.ID, "id", "", "only events of this message")
	f.IntVarP(&r.max, "count", "n", 0, "end after so many events (default: never)")
	_ = c.RegisterFlagCompletionFunc("type", cobra.FixedCompletions(eventTypes(), cobra.ShellCompDirectiveNoFileComp))
	return c
}

func eventTypes() []string {
	return []string{"accepted", "filtered", "delivered", "deferred", "bounced", "held", "released", "rejected", "discarded", "deleted"}
}

// parseSince reads an age or a time; "" is the zero time.
func parseSince(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 && d < maxAgo {
		return now.Add(-d).UTC(), nil
	}
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		return at.UTC(), nil
	}
	return time.Time{}, usage("--since %q: want an age such as 90s or 2h, or a time such as 2006-01-02T15:04:05Z", s)
}

// follow reads one stream after the other. An error of the first is final; later
// ones are tried again, since mtad may be restarted.
func (r *eventReader) follow(ctx context.Context) error {
	for first := true; ; first = false {
		err := r.stream(ctx)
		switch {
		case ctx.Err() != nil || r.done():
			return nil
		case err != nil && (first || final(err)):
			return err
		case err != nil:
			fmt.Fprintf(r.t.err, "mtactl: %v; trying again\n", err)
		}
		if r.id != "" {
			r.params.LastEventID = r.id
		}
		wait := time.NewTimer(reconnect)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return nil
		}
	}
}

func (r *eventReader) done() bool { return r.max > 0 && r.count >= r.max }

// final says that trying again changes nothing.
func final(err error) bool {
	e, ok := err.(*exitError)
	return !ok || e.status != exitUnreachable && e.status != exitTemporary
}

func (r *eventReader) stream(parent context.Context) error {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	dead := time.AfterFunc(silence, cancel)
	defer dead.Stop()
	res, err := r.t.client.StreamEvents(ctx, &r.params)
	if err != nil {
		return callError(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(res.Body, maxEvent))
		var e api.Error
		if json.Unmarshal(body, &e) == nil && e.Code != "" {
			return apiError(&e, res.StatusCode)
		}
		return statusError(res.StatusCode)
	}
	sc := bufio.NewScanner(res.Body)
	sc.Buffer(make([]byte, 0, 64<<10), maxEvent)
	for sc.Scan() {
		dead.Reset(silence)
		if err := r.line(sc.Text()); err != nil || r.done() {
			return err
		}
	}
	if err := sc.Err(); err != nil {
		return &exitError{status: exitTemporary, msg: "the stream broke off"}
	}
	return nil
}

// line takes a line of the stream (server-sent events).
func (r *eventReader) line(s string) error {
	name, value, _ := strings.Cut(s, ":")
	value = strings.TrimPrefix(value, " ")
	switch {
	case s == "":
		return r.event()
	case name == "id":
		r.id = value
	case name == "data":
		r.data = append(r.data, value...)
	}
	return nil
}

func (r *eventReader) event() error {
	data := r.data
	if len(data) == 0 {
		return nil
	}
	r.data = nil
	r.count++
	var e api.Event
	if err := json.Unmarshal(data, &e); err != nil {
		return &exitError{status: exitFailure, msg: "an event that is not JSON"}
	}
	if r.t.output == "json" {
		_, err := fmt.Fprintf(r.t.out, "%s\n", plainJSON(data))
		return wrote(err)
	}
	_, err := fmt.Fprintln(r.t.out, oneLine(eventLine(&e)))
	return wrote(err)
}

// eventLine is an event on one line.
func eventLine(e *api.Event) string {
	cells := []string{e.Time.Local().Format("15:04:05.000"), fmt.Sprintf("%-9s", e.Type)}
	if m := e.Message; m.QueueID != "" {
		cells = append(cells, m.Item, "from=<"+m.ReversePath+">")
	}
	add := func(name, value string) {
		if value != "" {
			cells = append(cells, name+"="+value)
		}
	}
	if p := e.Recipient; p.Address != "" {
		cells = append(cells, "to=<"+p.Address+">")
		add("via", p.NextHop)
		add("reply", p.Reply)
	}
	for _, p := range e.Recipients {
		cells = append(cells, "to=<"+p+">")
	}
	if more := e.RecipientCount - len(e.Recipients); more > 0 {
		cells = append(cells, fmt.Sprintf("and %d more", more))
	}
	if v := e.Verdict; v.Filter != "" {
		add("filter", v.Filter)
		add("verdict", v.Disposition)
	}
	if h := e.Hold; h.Reason != "" || h.By != "" {
		add("by", h.By)
		add("reason", h.Reason)
	}
	add("reason", e.Reason)
	if !e.NextAttempt.IsZero() {
		add("next", e.NextAttempt.Local().Format(time.RFC3339))
	}
	if !e.Gap.Until.IsZero() {
		cells = append(cells, "events before "+e.Gap.Until.Local().Format(time.RFC3339)+" are gone")
	}
	return strings.Join(cells, " ")
}
