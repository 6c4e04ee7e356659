// Command rest compares the doors of mtad: how many messages a second it commits
// that come over SMTP, and over HTTP as message/rfc822 and in JSON. The same
// connections, sizes and syncs, one run, one machine; clients of the same kind, which
// write what is prepared and read the answer. Nothing is delivered: the messages
// wait for a filter that nobody runs.
//
//	go run ./bench/rest
package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mtad/bench/rig"
)

var (
	connections = flag.Int("connections", 50, "concurrent connections")
	size        = flag.Int("size", 10240, "octets of a message")
	messages    = flag.Int("messages", 10000, "messages of one measurement")
	rounds      = flag.Int("rounds", 3, "measurements of each door; the median counts")
	profile     = flag.String("profile", "", "write a CPU profile of mtad under JSON to this file")
)

const (
	patience = 30 * time.Second
	secret   = "bench"
)

const config = `hostname: mx.example.com
spool: {directory: %[1]s/spool}
listeners: {smtp: {address: "%[2]s", chain: scan}}
filters: {scan: {kind: pull}}
chains: {scan: {filters: [scan], timing: after}}
api: {listen: ["%[3]s"], unix: %[1]s/api.sock, tokens: {bench: {sha256: "%[4]x", scopes: [submit], submit: {chain: scan}}}}
`

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "rest:", err)
		os.Exit(1)
	}
}

func run() error {
	dir, err := os.MkdirTemp("/var/tmp", "rest")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", dir+"/mtad", "./cmd/mtad")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return err
	}
	rates := map[string][]float64{}
	for round := range *rounds {
		for i, d := range doors() {
			rate, err := measure(filepath.Join(dir, fmt.Sprint(round, "-", i)), filepath.Join(dir, "mtad"), d)
			if err != nil {
				return fmt.Errorf("%s: %w", d.name, err)
			}
			fmt.Printf("round %d %-15s %6.0f msgs/s\n", round+1, d.name, rate)
			rates[d.name] = append(rates[d.name], rate)
		}
	}
	report(rates)
	return nil
}

func report(rates map[string][]float64) {
	median := func(name string) float64 {
		r := slices.Sorted(slices.Values(rates[name]))
		return r[len(r)/2]
	}
	fmt.Printf("\n| door | messages/s | of SMTP |\n|---|---|---|\n")
	for _, d := range doors() {
		fmt.Printf("| %s | %.0f | %.0f %% |\n", d.name, median(d.name), 100*median(d.name)/median("SMTP"))
	}
}

// door is a way in: begin opens a connection, hand sends one message over it.
type door struct {
	name  string
	http  bool
	begin func(net.Conn, *bufio.Reader) error
	hand  func(net.Conn, *bufio.Reader) error
}

func doors() []door {
	text := body()
	raw := "From: <sender@example.org>\r\nTo: <rcpt@example.net>\r\nSubject: benchmark\r\n\r\n" + text
	described, _ := json.Marshal(map[string]string{"from": "sender@example.org", "to": "rcpt@example.net", "subject": "benchmark", "text": text})
	return []door{
		{"SMTP", false, hello, smtp(raw, false)},
		{"SMTP, pipelined", false, hello, smtp(raw, true)},
		{"rfc822", true, nil, post("/v1/messages?from=sender@example.org&to=rcpt@example.net", "message/rfc822", raw)},
		{"JSON", true, nil, post("/v1/messages", "application/json", string(described))},
	}
}

// body is incompressible text.
func body() string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	var b strings.Builder
	for b.Len() < *size {
		for range 76 {
			b.WriteByte(letters[rand.IntN(len(letters))])
		}
		b.WriteString("\r\n")
	}
	return b.String()
}

func hello(c net.Conn, r *bufio.Reader) error {
	if err := replies(r, "220"); err != nil {
		return err
	}
	if _, err := io.WriteString(c, "EHLO client.example.org\r\n"); err != nil {
		return err
	}
	return replies(r, "250")
}

// smtp sends commands one by one, as most clients do, or in one piece (RFC 2920).
func smtp(raw string, pipelined bool) func(net.Conn, *bufio.Reader) error {
	raw += ".\r\n"
	commands := []string{"MAIL FROM:<sender@example.org>\r\n", "RCPT TO:<rcpt@example.net>\r\n", "DATA\r\n"}
	codes := [][]string{{"250"}, {"250"}, {"354"}}
	if pipelined {
		commands, codes = []string{strings.Join(commands, "")}, [][]string{{"250", "250", "354"}}
	}
	return func(c net.Conn, r *bufio.Reader) error {
		for i, command := range commands {
			if _, err := io.WriteString(c, command); err != nil {
				return err
			}
			if err := replies(r, codes[i]...); err != nil {
				return err
			}
		}
		if _, err := io.WriteString(c, raw); err != nil {
			return err
		}
		return replies(r, "250")
	}
}

// replies reads replies, of several lines each perhaps.
func replies(r *bufio.Reader, codes ...string) error {
	for _, code := range codes {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return err
			}
			if !strings.HasPrefix(line, code) {
				return fmt.Errorf("got %q, want %s", line, code)
			}
			if line[3] != '-' {
				break
			}
		}
	}
	return nil
}

func post(path, media, text string) func(net.Conn, *bufio.Reader) error {
	request := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: mx.example.com\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
		path, secret, media, len(text), text)
	return func(c net.Conn, r *bufio.Reader) error {
		if _, err := io.WriteString(c, request); err != nil {
			return err
		}
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusCreated {
			return fmt.Errorf("%s %s, %w", res.Status, b, err)
		}
		return nil
	}
}

// measure starts mtad and drives one door.
func measure(dir, binary string, d door) (float64, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	var addr [3]string
	for i := range addr {
		var err error
		if addr[i], err = rig.FreePort(); err != nil {
			return 0, err
		}
	}
	file := filepath.Join(dir, "mtad.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, config, dir, addr[0], addr[1], sha256.Sum256([]byte(secret))), 0o600); err != nil {
		return 0, err
	}
	cmd := exec.Command(binary, "run", "-c", file, "--pprof", addr[2])
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	if err := rig.AwaitGreeting(addr[0], patience); err != nil {
		return 0, err
	}
	to := addr[0]
	if d.http {
		to = addr[1]
	}
	if _, err := drive(to, d, *messages/10); err != nil { // warm
		return 0, err
	}
	if *profile != "" && d.name == "JSON" {
		go writeProfile(addr[2])
	}
	return drive(to, d, *messages)
}

// drive hands in n messages.
func drive(addr string, d door, n int) (float64, error) {
	var left atomic.Int64
	left.Store(int64(n))
	errs := make(chan error, *connections)
	var wg sync.WaitGroup
	begin := time.Now()
	for range *connections {
		wg.Go(func() { errs <- session(addr, d, &left) })
	}
	wg.Wait()
	took := time.Since(begin)
	for range *connections {
		if err := <-errs; err != nil {
			return 0, err
		}
	}
	return float64(n) / took.Seconds(), nil
}

func session(addr string, d door, left *atomic.Int64) error {
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return err
	}
	defer c.Close()
	r := bufio.NewReader(c)
	if d.begin != nil {
		if err := d.begin(c, r); err != nil {
			return err
		}
	}
	for left.Add(-1) >= 0 {
		if err := d.hand(c, r); err != nil {
			return err
		}
	}
	return nil
}

func writeProfile(addr string) {
	res, err := http.Get("http://" + addr + "/debug/pprof/profile?seconds=2")
	if err != nil {
		return
	}
	defer res.Body.Close()
	f, err := os.Create(*profile)
	if err != nil {
		return
	}
	defer f.Close()
	_, _ = io.Copy(f, res.Body) // a profile that is cut off says so when it is read
}
