package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"mtad/queue"
	"mtad/queue/engine"
	"mtad/queue/locallog"
)

// measureBacklog loads deferred messages through the engine and looks at the
// start, the memory, the listings and the accept rate with them.
func measureBacklog(dir, bin string, row func(what, got, asked string)) error {
	empty, err := acceptRate(filepath.Join(dir, "empty"), bin, nil)
	if err != nil {
		return err
	}
	small := filepath.Join(dir, "small")
	if err := load(filepath.Join(small, "spool"), *backlog/10); err != nil {
		return err
	}
	d, err := startDaemon(small, bin, ", chain: scan", "[127.0.0.1]:9")
	if err != nil {
		return err
	}
	row(fmt.Sprintf("start to first greeting with %d deferred", *backlog/10), seconds(d.greetingAfter), "< 1 s")
	d.stop()

	large := filepath.Join(dir, "large")
	begin := time.Now()
	if err := load(filepath.Join(large, "spool"), *backlog); err != nil {
		return err
	}
	row(fmt.Sprintf("loading %d through the engine", *backlog), seconds(time.Since(begin)), "")
	full, err := acceptRate(large, bin, func(d *daemon) error {
		row(fmt.Sprintf("start to first greeting with %d deferred", *backlog), seconds(d.greetingAfter), "< 5 s")
		row("resident memory then", megabytes(d.resident()), "< 400 MB")
		for _, q := range []struct {
			what string
			args []string
		}{
			{"mtactl shape", []string{"shape"}},
			{"mtactl queue list, first page, by recipient", []string{"queue", "list", "--limit", "100", "state=deferred recipient=r777777@d777.example.net"}},
			{"mtactl queue list, first page, by next hop", []string{"queue", "list", "--limit", "100", "state=deferred next-hop=d7.example.net"}},
			{"mtactl queue list, first page, by sender pattern", []string{"queue", "list", "--limit", "100", "state=deferred sender=s9*@example.org"}},
			{"mtactl status", []string{"status"}},
		} {
			took, err := d.mtactl(q.args...)
			if err != nil {
				return err
			}
			row(q.what, seconds(took), "< 1 s")
		}
		return nil
	})
	if err != nil {
		return err
	}
	row("accept rate with them, share of the empty queue's", fmt.Sprintf("%.0f %%", 100*full/empty), ">= 90 %")
	return nil
}

// acceptRate starts mtad, lets look have it, and sends messages that stay in
// unfiltered. Resident memory is checked on the way out.
func acceptRate(dir, bin string, look func(*daemon) error) (float64, error) {
	d, err := startDaemon(dir, bin, ", chain: scan", "[127.0.0.1]:9")
	if err != nil {
		return 0, err
	}
	defer d.stop()
	if look != nil {
		if err := look(d); err != nil {
			return 0, err
		}
	}
	const n = 20000
	var best float64
	for range 2 { // the first one warms up
		begin := time.Now()
		out, err := exec.Command("smtp-source", "-s", "50", "-m", fmt.Sprint(n), "-l", "10240", "-f", "sender@example.org", "-t", "rcpt@example.net", d.addr).CombinedOutput()
		if err != nil {
			return 0, fmt.Errorf("smtp-source: %w: %s", err, bytes.TrimSpace(out))
		}
		best = max(best, n/time.Since(begin).Seconds())
	}
	fmt.Printf("accept rate %.0f msgs/s, resident %s, peak %s\n", best, megabytes(d.resident()), megabytes(d.peak()))
	return best, nil
}

// load puts n small messages into deferred, due in an hour, for 1000 domains.
func load(spool string, n int) error {
	// The queue is a directory of the spool.
	if err := os.MkdirAll(spool, 0o700); err != nil {
		return err
	}
	log, err := locallog.Open(filepath.Join(spool, "queue"), locallog.Options{})
	if err != nil {
		return err
	}
	q, err := engine.Open(context.Background(), log, engine.Options{ActiveLimit: n + 1})
	if err != nil {
		return err
	}
	defer q.Close()
	var next atomic.Int64
	errs := make(chan error, 128)
	var wg sync.WaitGroup
	for range 128 {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				if err := create(q, int(i)); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	if len(errs) > 0 {
		return <-errs
	}
	return deferAll(q, n)
}

func create(q queue.Queue, i int) error {
	ctx := context.Background()
	domain := fmt.Sprintf("d%d.example.net", i%1000)
	w, err := q.Create(ctx, queue.Envelope{
		ReversePath: fmt.Sprintf("s%d@example.org", i%5000),
		Recipients:  []queue.Recipient{{Path: fmt.Sprintf("r%d@%s", i, domain), Transport: "smtp", NextHop: domain}},
	}, queue.CreateOptions{})
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte("Subject: backlog\r\n\r\nsmall\r\n")); err != nil {
		return err
	}
	_, err = w.Commit(ctx)
	return err
}

func deferAll(q queue.Queue, n int) error {
	ctx := context.Background()
	due := time.Now().Add(time.Hour)
	for done := 0; done < n; {
		claims, err := q.Claim(ctx, queue.ClaimSpec{From: queue.Incoming, Holder: "load", Max: queue.MaxClaim, Lease: time.Hour})
		if err != nil {
			return err
		}
		if len(claims) == 0 {
			return fmt.Errorf("only %d of %d could be claimed", done, n)
		}
		for _, c := range claims {
			_, err := q.Apply(ctx, queue.Txn{Token: c.Token, By: "load", Ops: []queue.Op{
				queue.Attempt{},
				queue.UpdateRecipients{Updates: []queue.RecipientUpdate{{Attempted: true, Reply: "450 4.2.1 busy"}}},
				queue.Move{To: queue.Deferred, NextAt: due},
			}})
			if err != nil {
				return err
			}
		}
		done += len(claims)
	}
	return nil
}

// drained waits until nothing is in the queue.
func (d *daemon) drained() error {
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", d.api)
		},
	}}
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		resp, err := client.Get("http://mtad/v1/queue/count")
		if err != nil {
			return err
		}
		var tally struct{ Messages int64 }
		err = json.NewDecoder(resp.Body).Decode(&tally)
		resp.Body.Close()
		if err != nil {
			return err
		}
		if resp.StatusCode == http.StatusOK && tally.Messages == 0 {
			return nil
		}
	}
	return errors.New("the queue did not drain within 5 min")
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}
