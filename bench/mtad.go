package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// mtad is the system this repository builds, run as its users run it.
type mtad struct {
	addr, api    string
	profiles     string // address of the profiles
	run, scanner *process
}

const mtadConfig = `hostname: mx.example.com
spool: {directory: %[1]s/spool}
listeners:
  smtp: {address: "%[2]s"%[3]s}
smarthost: "%[4]s"
filters: {scan: {kind: pull}}
chains: {scan: {filters: [scan]}}
delivery: {destination_initial: 20, destination_max: 50}
api: {listen: [], unix: %[1]s/api.sock}
`

// startMtad starts mtad that relays to next. In the scenario accept it keeps
// what it accepts: nobody claims for the chain's filter.
func (b *bench) startMtad(dir, next, sc string) (system, error) {
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	chain := ", chain: scan"
	if sc == "relay" {
		chain = ""
	}
	m := &mtad{addr: addr, api: filepath.Join(dir, "api.sock")}
	if m.profiles, err = freePort(); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "mtad.yaml")
	host := "[127.0.0.1]:" + port(next)
	if err := os.WriteFile(config, fmt.Appendf(nil, mtadConfig, dir, addr, chain, host), 0o600); err != nil {
		return nil, err
	}
	if m.run, err = start(filepath.Join(dir, "log"), filepath.Join(b.bin, "mtad"), "run", "-c", config, "--pprof", m.profiles); err != nil {
		return nil, err
	}
	if sc == "filter" {
		if m.scanner, err = start(filepath.Join(dir, "scanner.log"), filepath.Join(b.bin, "scanner"), m.api); err != nil {
			return nil, err
		}
	}
	return m, awaitGreeting(addr)
}

func (m *mtad) address() string { return m.addr }
func (m *mtad) memory() int64   { return peakMemory(m.run.cmd.Process.Pid) }

func (m *mtad) stop() {
	if m.scanner != nil {
		m.scanner.stop()
	}
	m.run.stop()
}

// syncs reads the counter of WAL syncs; 0 when m is another system.
func (m *mtad) syncs() float64 {
	if m == nil {
		return 0
	}
	return m.metric("mtad_store_sync_seconds_count")
}

// get asks the API over its unix socket, whose peer is the user who runs mtad.
func (m *mtad) get(path string) (*http.Response, error) {
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", m.api)
		},
	}}
	return client.Get("http://mtad" + path)
}

func (m *mtad) metric(name string) float64 {
	resp, err := m.get("/metrics")
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			v, _ := strconv.ParseFloat(rest, 64)
			return v
		}
	}
	return 0
}

// profileTo writes a CPU profile of the next seconds.
func (m *mtad) profileTo(path string, seconds int) error {
	resp, err := http.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", m.profiles, seconds))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.ReadFrom(resp.Body)
	return err
}
