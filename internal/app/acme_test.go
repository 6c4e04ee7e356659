package app_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mtad/internal/app"
	"mtad/internal/config"

	"github.com/miekg/dns"
)

// TestCertificatesAreOrdered orders one from a local ACME server, by either
// challenge, and takes it from the cache after a restart.
func TestCertificatesAreOrdered(t *testing.T) {
	program, err := exec.LookPath("pebble")
	if err != nil {
		t.Skip("pebble is not installed")
	}
	for _, challenge := range []string{"tls-alpn-01", "http-01"} {
		t.Run(challenge, func(t *testing.T) {
			dir := t.TempDir()
			place := freePort(t)
			server := startPebble(t, program, dir, portNumber(t, place))
			text := fmt.Sprintf(`
listeners:
  smtp: {kind: submissions, address: "127.0.0.1:0"}
api: {listen: []}
acme:
  hosts: [mail.example.org]
  email: postmaster@example.org
  directory: %s
  certificate_authorities: %s/c.pem
  accept_terms: true
  challenge: %s
  address: %q
`, server, dir, challenge, place)
			cfg := read(t, dir, text)
			first := ordered(t, cfg)
			again := ordered(t, cfg)
			if !first.Equal(again) {
				t.Error("a restart ordered another certificate")
			}
			if fi, err := os.Stat(filepath.Join(dir, "spool", "acme")); err != nil || fi.Mode().Perm() != 0o700 {
				t.Errorf("the cache: %v %v", fi.Mode(), err)
			}
		})
	}
}

// ordered runs an App until it shows a certificate for the host.
func ordered(t *testing.T, cfg *config.Config) (leaf *x509.Certificate) {
	t.Helper()
	l := &logs{}
	a, err := app.New(t.Context(), cfg, app.Options{Version: "test", Log: l})
	if err != nil {
		t.Fatal(err)
	}
	a.Start()
	defer func() {
		if err := a.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
		if leaf == nil {
			t.Logf("log:\n%s", l)
		}
	}()
	addr := a.Addr("smtp").String()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last error
	for range 3600 { // three minutes: the first retry comes after one
		c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, ServerName: "mail.example.org"}) // the issuer is looked at
		if err == nil {
			leaf := c.ConnectionState().PeerCertificates[0]
			c.Close()
			if err := leaf.VerifyHostname("mail.example.org"); err != nil || !strings.Contains(leaf.Issuer.CommonName, "Pebble") {
				t.Fatalf("got a certificate of %s: %v", leaf.Issuer, err)
			}
			return leaf
		}
		last = err
		<-tick.C
	}
	t.Fatalf("no certificate: %v", last)
	return nil
}

func portNumber(t *testing.T, place string) int {
	t.Helper()
	a, err := netip.ParseAddrPort(place)
	if err != nil {
		t.Fatal(err)
	}
	return int(a.Port())
}

// startPebble runs an ACME server that finds every host at 127.0.0.1. It returns
// the directory's URL.
func startPebble(t *testing.T, program, dir string, challenges int) string {
	t.Helper()
	writePairFor(t, dir, "localhost")
	for range 5 {
		place := freePort(t)
		conf, err := json.Marshal(map[string]any{"pebble": map[string]any{
			"listenAddress": place, "managementListenAddress": "",
			"certificate": dir + "/c.pem", "privateKey": dir + "/k.pem",
			"httpPort": challenges, "tlsPort": challenges,
		}})
		if err != nil {
			t.Fatal(err)
		}
		file(t, dir+"/pebble.json", string(conf))
		cmd := exec.Command(program, "-config", dir+"/pebble.json", "-dnsserver", localDNS(t))
		cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0", "PEBBLE_AUTHZREUSE=100")
		log, err := os.Create(dir + "/pebble.log")
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		log.Close()
		ended := make(chan struct{})
		go func() { defer close(ended); _ = cmd.Wait() }()
		url := fmt.Sprintf("https://localhost:%d/dir", portNumber(t, place))
		if answers(t, url, ended) {
			t.Cleanup(func() {
				_ = cmd.Process.Kill()
				<-ended
				if t.Failed() {
					b, _ := os.ReadFile(dir + "/pebble.log")
					t.Logf("pebble:\n%s", b)
				}
			})
			return url
		}
	}
	b, _ := os.ReadFile(dir + "/pebble.log")
	t.Fatalf("pebble does not start:\n%s", b)
	return ""
}

// answers waits for the first answer; false when the server ended.
func answers(t *testing.T, url string, ended chan struct{}) bool {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // only whether it answers
	defer client.CloseIdleConnections()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 3000 {
		if r, err := client.Get(url); err == nil {
			_, _ = io.Copy(io.Discard, r.Body)
			r.Body.Close()
			return true
		}
		select {
		case <-ended:
			return false
		case <-tick.C:
		}
	}
	return false
}

// localDNS is a name server that finds everything at 127.0.0.1.
func localDNS(t *testing.T) string {
	t.Helper()
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		if q.Question[0].Qtype == dns.TypeA {
			m.Answer = append(m.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.IPv4(127, 0, 0, 1),
			})
		}
		_ = w.WriteMsg(m)
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.ActivateAndServe() }()
	t.Cleanup(func() { pc.Close(); <-done })
	return pc.LocalAddr().String()
}
