package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"mtad/bench/rig"
)

// postfix is an instance of the distribution's Postfix with a configuration of
// the benchmark's own.
type postfix struct {
	dir, config, addr string
	proxy             *proxy
	milter            *process
}

const postfixMaster = `%s inet n - n - 200 smtpd%s
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - 200 smtp
relay unix - - n - 200 smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
scache unix - - n - 1 scache
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
`

func (p *postfix) address() string { return p.addr }

// startPostfix prepares and starts an instance that relays to next. In the scenario
// accept it keeps what it accepts; in filter every message makes a round through a
// proxy that copies octets, the cheapest content filter there can be; in milter it
// asks the benchmark's.
func (b *bench) startPostfix(dir, next, sc string) (*postfix, error) {
	p := &postfix{dir: dir, config: filepath.Join(dir, "etc")}
	var err error
	if p.addr, err = rig.FreePort(); err != nil {
		return nil, err
	}
	params := []string{
		"compatibility_level=3.6", "queue_directory=" + filepath.Join(dir, "spool"), "data_directory=" + filepath.Join(dir, "data"),
		"command_directory=/usr/sbin", "daemon_directory=/usr/lib/postfix/sbin", "maillog_file=" + filepath.Join(dir, "log"),
		"maillog_file_prefixes=/", "inet_interfaces=127.0.0.1", "inet_protocols=ipv4", "myhostname=mx.example.com", "mydestination=",
		"mynetworks=127.0.0.0/8", "relayhost=[127.0.0.1]:" + port(next), "alias_maps=", "alias_database=", "local_recipient_maps=",
		"smtpd_tls_security_level=none", "smtp_tls_security_level=none", "in_flow_delay=0", "smtpd_client_connection_count_limit=0",
		"default_process_limit=200", "default_destination_concurrency_limit=50", "initial_destination_concurrency=20",
		"smtp_connection_cache_on_demand=yes", "disable_dns_lookups=yes", "smtpd_peername_lookup=no", "qmgr_message_active_limit=50000",
	}
	if sc == "milter" {
		at, err := rig.FreePort()
		if err != nil {
			return nil, err
		}
		if p.milter, err = start(filepath.Join(dir, "milter.log"), filepath.Join(b.bin, "milter"), at); err != nil {
			return nil, err
		}
		params = append(params, "smtpd_milters=inet:"+at, "milter_default_action=tempfail")
	}
	if sc == "accept" {
		params = append(params, "smtpd_client_restrictions=static:HOLD")
	}
	master := fmt.Sprintf(postfixMaster, p.addr, "")
	if sc == "filter" {
		reinject, err := rig.FreePort()
		if err != nil {
			return nil, err
		}
		if p.proxy, err = startProxy(reinject); err != nil {
			return nil, err
		}
		master = fmt.Sprintf(postfixMaster, p.addr, "\n  -o content_filter=scan:[127.0.0.1]:"+port(p.proxy.addr()))
		master += fmt.Sprintf("%s inet n - n - 200 smtpd\n  -o content_filter= -o receive_override_options=no_unknown_recipient_checks\n", reinject)
		master += "scan unix - - n - 50 smtp\n  -o smtp_send_xforward_command=yes -o disable_mime_output_conversion=yes\n"
	}
	if err := p.prepare(params, master); err != nil {
		return nil, err
	}
	if out, err := exec.Command("postfix", "-c", p.config, "start").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("postfix start: %w: %s", err, out)
	}
	return p, rig.AwaitGreeting(p.addr, startTime)
}

func (p *postfix) prepare(params []string, master string) error {
	for _, d := range []string{p.config, filepath.Join(p.dir, "spool"), filepath.Join(p.dir, "data")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	u, err := user.Lookup("postfix")
	if err != nil {
		return err
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(filepath.Join(p.dir, "data"), uid, gid); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(p.config, "main.cf"), []byte(strings.Join(params, "\n")+"\n"), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(p.config, "master.cf"), []byte(master), 0o644)
}

func (p *postfix) memory() int64 { return childrenMemory(p.master()) }

// master is the process ID of Postfix's master, 0 when it does not run.
func (p *postfix) master() int {
	b, _ := os.ReadFile(filepath.Join(p.dir, "spool/pid/master.pid"))
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return pid
}

func (p *postfix) stop() {
	_ = exec.Command("postfix", "-c", p.config, "stop").Run()
	if p.proxy != nil {
		p.proxy.stop()
	}
	if p.milter != nil {
		p.milter.stop()
	}
}

func port(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

// proxy copies octets between Postfix's scan client and its reinjection port.
type proxy struct {
	l net.Listener
}

func startProxy(to string) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go splice(c, to)
		}
	}()
	return &proxy{l}, nil
}

func (p *proxy) addr() string { return p.l.Addr().String() }
func (p *proxy) stop()        { p.l.Close() }

func splice(c net.Conn, to string) {
	defer c.Close()
	d, err := net.DialTimeout("tcp", to, 5*time.Second)
	if err != nil {
		return
	}
	defer d.Close()
	go func() {
		_, _ = io.Copy(d, c)
		_ = d.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(c, d)
}
