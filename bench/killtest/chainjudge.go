package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"mtad/bench/rig"
)

var (
	scanField = regexp.MustCompile(`(?m)^X-Scan-(Pull|Milter|Rspamd): (\S+)\n`)
	queueID   = regexp.MustCompile(`\b[0-9A-HJKMNP-TV-Z]{13}\b`)
)

// history is what the API remembers of a message.
type history struct {
	Items []struct {
		ID       string
		Verdicts []struct {
			Filter, Disposition string
			Generation          int
		}
		Outcome *struct{ Disposition string }
	}
}

func trace(client *http.Client, id string) (h history, err error) {
	resp, err := client.Get("http://mtad/v1/queue/messages/" + id + "/trace")
	if err != nil {
		return h, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return h, fmt.Errorf("trace of %s: status %d", id, resp.StatusCode)
	}
	return h, json.NewDecoder(resp.Body).Decode(&h)
}

// readJournal counts how often a scanner saw each mark.
func readJournal(path string) (map[string]int, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	seen := map[string]int{}
	for line := range strings.Lines(string(b)) {
		seen[strings.TrimSpace(line)]++
	}
	return seen, nil
}

// chainReport counts what is wrong, and what is not wrong but tells how hard it was.
type chainReport struct {
	checked, verdicts          int
	lost, changed, unscanned   int
	wrongVerdicts, duplicates  int
	unaccepted, twice, unknown int
}

// judgeChain compares what was acknowledged with what arrived, and with what the
// queue remembers: exactly one verdict of each filter that was asked, on the
// generation that the one before left, and a scanner that saw the message for
// each verdict.
func (s *stage) judgeChain(l *ledger, got map[string][]arrival, mtadKills int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := map[string]map[string]int{}
	for _, kind := range kinds {
		var err error
		if seen[kind], err = readJournal(s.journal(kind)); err != nil {
			return err
		}
		for _, n := range seen[kind] {
			l.rescans += n - 1 // its scanner was killed before the verdict
		}
	}
	var rep chainReport
	client := rig.API(s.api, 30*time.Second)
	for mark, a := range l.attempts {
		rep.arrivals(mark, a, got[mark])
		id := queueID.FindString(a.id)
		if id == "" && len(got[mark]) > 0 { // the reply was lost
			id = queueID.FindString(string(ours.Find(got[mark][0].trace)))
		}
		if id == "" {
			rep.unaccepted++
			continue
		}
		h, err := trace(client, id)
		if err != nil {
			rep.unknown++
			fmt.Printf("killtest: %s: %v\n", mark, err)
			continue
		}
		rep.history(mark, h, seen)
	}
	fmt.Printf("killtest: %d messages looked up, %d verdicts; %d scans were repeated; %d duplicates; %d attempts were not accepted\n",
		rep.checked, rep.verdicts, l.rescans, rep.duplicates, rep.unaccepted)
	fmt.Printf("killtest: %d lost, %d changed, %d with a wrong number of verdicts, %d scanned by nobody, %d scanned twice, %d unknown\n",
		rep.lost, rep.changed, rep.wrongVerdicts, rep.unscanned, rep.twice, rep.unknown)
	if bound := mtadKills * maxInFlight; rep.duplicates > bound {
		return fmt.Errorf("%d duplicates, more than the %d in flight at %d kills", rep.duplicates, bound, mtadKills)
	}
	if rep.lost+rep.changed+rep.wrongVerdicts+rep.unscanned+rep.twice+rep.unknown > 0 {
		return errors.New("mail was lost or changed, or its verdicts are wrong")
	}
	return nil
}

func numberOf(mark string) int {
	digits, _, _ := strings.Cut(mark, ".")
	n, _ := strconv.Atoi(digits)
	return n
}

// arrivals checks what the sink has of one message.
func (r *chainReport) arrivals(mark string, a *attempt, arrivals []arrival) {
	_, discarded := discards(numberOf(mark))
	switch {
	case discarded && len(arrivals) > 0:
		r.changed++
		fmt.Printf("killtest: discarded, and delivered: %s\n", mark)
	case !discarded && a.acked && len(arrivals) == 0:
		r.lost++
		fmt.Printf("killtest: lost: %s (%s)\n", mark, a.id)
	}
	r.duplicates += max(0, len(arrivals)-1)
	for _, x := range arrivals {
		fields := map[string]int{}
		for _, m := range scanField.FindAllSubmatch(x.content, -1) {
			if string(m[2]) == mark {
				fields[strings.ToLower(string(m[1]))]++
			}
		}
		for _, kind := range kinds {
			switch fields[kind] {
			case 0:
				r.unscanned++
				fmt.Printf("killtest: delivered without the field of %s: %s\n", kind, mark)
			case 1:
			default:
				r.twice++
				fmt.Printf("killtest: delivered with %d fields of %s: %s\n", fields[kind], kind, mark)
			}
		}
		if !bytes.Equal(scanField.ReplaceAll(x.content, nil), a.content) || !ours.Match(x.trace) {
			r.changed++
			fmt.Printf("killtest: changed: %s\n", mark)
		}
	}
}

// history checks what the queue remembers of one message.
func (r *chainReport) history(mark string, h history, seen map[string]map[string]int) {
	r.checked++
	thrower, discarded := discards(numberOf(mark))
	want := "done"
	if discarded {
		want = "discarded"
	}
	if len(h.Items) != 1 || h.Items[0].Outcome == nil || h.Items[0].Outcome.Disposition != want {
		r.wrongVerdicts++
		fmt.Printf("killtest: %s did not end %s: %+v\n", mark, want, h.Items)
		return
	}
	got := h.Items[0].Verdicts
	r.verdicts += len(got)
	for i, kind := range kinds {
		disposition := "accept"
		if kind == thrower {
			disposition = "discard"
		}
		if i >= len(got) || got[i].Filter != kind || got[i].Disposition != disposition || got[i].Generation != i {
			r.wrongVerdicts++
			fmt.Printf("killtest: verdicts on %s: %+v\n", mark, got)
			return
		}
		if seen[kind][mark] == 0 {
			r.unscanned++
			fmt.Printf("killtest: a verdict of %s on %s, which it never saw\n", kind, mark)
		}
		if kind == thrower {
			break
		}
	}
	if n := len(kinds); !discarded && len(got) != n || thrower == "pull" && len(got) != 1 || thrower == "milter" && len(got) != 2 {
		r.wrongVerdicts++
		fmt.Printf("killtest: verdicts on %s: %+v\n", mark, got)
	}
}
