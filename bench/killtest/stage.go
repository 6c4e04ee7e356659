package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"mtad/bench/rig"
)

// maxInFlight bounds the deliveries under way at a kill; see delivery below.
const maxInFlight = 50

const config = `hostname: mx.example.com
spool: {directory: %[1]s/spool}
listeners:
  smtp: {address: "%[2]s", chain: scan}
smarthost: "%[3]s"
filters: {scan: {kind: pull, lease: 10s}}
chains: {scan: {filters: [scan]}}
queue: {lease: 10s}
delivery: {concurrency: %[4]d, destination_initial: 20, destination_max: %[4]d, min_backoff: 1s, max_backoff: 2s}
api: {listen: [], unix: %[1]s/api.sock}
`

func newStage(dir string) (*stage, error) {
	s := &stage{dir: dir, api: filepath.Join(dir, "api.sock"), config: filepath.Join(dir, "mtad.yaml"), chain: map[string]*exec.Cmd{}}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	s.log = log
	sink, err := rig.FreePort()
	if err != nil {
		return nil, err
	}
	if s.smtp, err = rig.FreePort(); err != nil {
		return nil, err
	}
	// smtp-sink writes its dumps as its own user, below the working directory.
	if err := os.Chmod(dir, 0o777); err != nil {
		return nil, err
	}
	format := config
	if *chained {
		format = chainConfig
	}
	text := fmt.Appendf(nil, format, dir, s.smtp, "[127.0.0.1]:"+portOf(sink), maxInFlight)
	if err := os.WriteFile(s.config, text, 0o600); err != nil {
		return nil, err
	}
	if s.sink, err = s.spawn("smtp-sink", "-u", "nobody", "-d", dir+"/sink/%H%M%S.", sink, "1000"); err != nil {
		return nil, err
	}
	if err := s.startMtad(); err != nil {
		return nil, err
	}
	if *chained {
		return s, s.startChain()
	}
	return s, s.startScanner()
}

func (s *stage) startMtad() (err error) {
	if s.mtad, err = s.spawn(filepath.Join(*binaries, "mtad"), "run", "-c", s.config); err != nil {
		return err
	}
	return rig.AwaitGreeting(s.smtp, 30*time.Second)
}

func (s *stage) startScanner() (err error) {
	s.scanner, err = s.spawn(filepath.Join(*binaries, "scanner"), s.api)
	return err
}

// drain waits until the queue is empty.
func (s *stage) drain(end time.Time) error {
	client := rig.API(s.api, 30*time.Second)
	for ; time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		left, err := waiting(client)
		if err == nil && left == 0 {
			return nil
		}
	}
	return errors.New("the queue did not drain in time")
}

func waiting(client *http.Client) (int64, error) {
	resp, err := client.Get("http://mtad/v1/queue/count")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var tally struct{ Messages *int64 }
	if err := json.NewDecoder(resp.Body).Decode(&tally); err != nil {
		return 0, err
	}
	if tally.Messages == nil {
		return 0, fmt.Errorf("count: status %d", resp.StatusCode)
	}
	return *tally.Messages, nil
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}
