package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"mtad/bench/rig"
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
filters: {scan: {%[5]s}}
chains: {scan: {filters: [scan], timing: %[6]s}}
delivery: {destination_initial: 20, destination_max: 50}
api: {listen: [], unix: %[1]s/api.sock}
`

// setting is a filter of mtad with the program that does its work.
type setting struct {
	filter  string // YAML; %s is where the program listens
	timing  string
	program string // "" is none
}

// settings are those of the scenarios; one without is not filtered. In the scenario
// accept mtad keeps what it accepts: nobody claims for the chain's filter.
var settings = map[string]setting{
	"accept":         {"kind: pull", "after", ""},
	"filter":         {"kind: pull", "after", "scanner"},
	"pull":           {"kind: pull", "inline", "scanner"},
	"milter":         {`kind: milter, concurrency: 50, address: "%s"`, "inline", "milter"},
	"webhook":        {`kind: webhook, concurrency: 50, webhook: {url: "http://%s/"}`, "inline", "handler"},
	"pull, after":    {"kind: pull", "after", "scanner"},
	"milter, after":  {`kind: milter, concurrency: 50, address: "%s"`, "after", "milter"},
	"webhook, after": {`kind: webhook, concurrency: 50, webhook: {url: "http://%s/"}`, "after", "handler"},
}

// startMtad starts mtad that relays to next, with the filter of a scenario.
func (b *bench) startMtad(dir, next, sc string) (system, error) {
	addr, err := rig.FreePort()
	if err != nil {
		return nil, err
	}
	chain := ", chain: scan"
	set, filtered := settings[sc]
	if !filtered {
		chain, set = "", settings["accept"]
	}
	at, err := rig.FreePort()
	if err != nil {
		return nil, err
	}
	filter := set.filter
	if strings.Contains(filter, "%s") {
		filter = fmt.Sprintf(filter, at)
	}
	m := &mtad{addr: addr, api: filepath.Join(dir, "api.sock")}
	if m.profiles, err = rig.FreePort(); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "mtad.yaml")
	host := "[127.0.0.1]:" + port(next)
	if err := os.WriteFile(config, fmt.Appendf(nil, mtadConfig, dir, addr, chain, host, filter, set.timing), 0o600); err != nil {
		return nil, err
	}
	if m.run, err = start(filepath.Join(dir, "log"), filepath.Join(b.bin, "mtad"), "run", "-c", config, "--pprof", m.profiles); err != nil {
		return nil, err
	}
	if err := rig.AwaitGreeting(addr, startTime); err != nil || set.program == "" {
		return m, err
	}
	if set.program == "scanner" {
		at = m.api
	}
	m.scanner, err = start(filepath.Join(dir, "scanner.log"), filepath.Join(b.bin, set.program), at)
	return m, err
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

// get asks the API.
func (m *mtad) get(path string) (*http.Response, error) {
	return rig.API(m.api, time.Minute).Get("http://mtad" + path)
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
