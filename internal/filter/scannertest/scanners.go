package scannertest

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net"
	"path/filepath"
	"testing"
)

// Clamd is a clamd that knows the EICAR file and nothing else.
type Clamd struct {
	*Process
	Socket string // unix
	Addr   string // TCP
}

// StartClamd starts one. Streams are bounded at 25 MB.
func StartClamd(t testing.TB) *Clamd {
	t.Helper()
	return StartClamdAs(t, "clamav")
}

// StartClamdAs starts one that runs as another user, whose files it can read.
func StartClamdAs(t testing.TB, name string) *Clamd {
	t.Helper()
	Need(t, "clamd")
	dir := Dir(t)
	c := &Clamd{Socket: filepath.Join(dir, "run", "clamd.sock"), Addr: FreeAddr(t)}
	sum := md5.Sum([]byte(EICAR()))
	Write(t, dir, "db/local.hdb", fmt.Sprintf("%x:%d:Eicar-Local-Hash\n", sum, len(EICAR())))
	Write(t, dir, "db/local.ndb", "Eicar-Local-Test:0:*:"+hex.EncodeToString([]byte(EICAR()))+"\n")
	_, port, _ := net.SplitHostPort(c.Addr)
	text := fmt.Sprintf("LocalSocket %s\nLocalSocketMode 666\nFixStaleSocket true\nTCPSocket %s\nTCPAddr 127.0.0.1\n"+
		"DatabaseDirectory %s/db\nStreamMaxLength 25M\nMaxThreads 4\nSelfCheck 0\n", c.Socket, port, dir)
	if Root() {
		text += "User " + name + "\n"
	}
	Write(t, dir, "run/.keep", "")
	conf := Write(t, dir, "clamd.conf", text)
	Own(t, dir, name)
	c.Process = Start(t, c.Socket, "clamd", "--foreground", "-c", conf)
	return c
}

// Spamd is a spamd without network tests; reports are not wrapped
// (report_safe 0).
type Spamd struct {
	*Process
	Addr   string // TCP
	Socket string // unix
}

// StartSpamd starts one; options are appended to its command line.
func StartSpamd(t testing.TB, options ...string) *Spamd {
	t.Helper()
	Need(t, "spamd")
	dir := Dir(t)
	s := &Spamd{Addr: FreeAddr(t), Socket: filepath.Join(dir, "spamd.sock")}
	_, port, _ := net.SplitHostPort(s.Addr)
	args := []string{"spamd", "-L", "-i", "127.0.0.1", "-p", port, "--socketpath=" + s.Socket, "--socketmode=0666",
		"-A", "127.0.0.1", "-m", "2", "-x", "--cf=report_safe 0", "-s", "stderr"}
	if Root() {
		args = append(args, "-u", "debian-spamd")
	}
	s.Process = Start(t, s.Addr, append(args, options...)...)
	return s
}

// Rspamd is an rspamd without network tests and without a database.
type Rspamd struct {
	*Process
	Addr   string // of /checkv2
	Milter string // its milter, protocol version 6
}

// disabled are the modules that would want redis, DNS or the network.
var disabled = [...]string{"rbl", "surbl", "fuzzy_check", "spf", "dkim", "dmarc", "arc", "asn", "mx_check", "phishing", "neural",
	"bayes_expiry", "greylist", "ratelimit", "replies", "history_redis", "dcc", "url_redirector", "reputation", "emails",
	"hfilter", "mid", "maillist", "multimap", "whitelist"}

// StartRspamd starts one. clamd, if it is not "", is the unix socket of a clamd
// whose finds are rejected. files are further ones below its directory: path and
// text.
func StartRspamd(t testing.TB, clamd string, files ...[2]string) *Rspamd {
	t.Helper()
	Need(t, "rspamd")
	dir := Dir(t)
	r := &Rspamd{Addr: FreeAddr(t), Milter: FreeAddr(t)}
	local := func(name, text string) { Write(t, dir, "local.d/"+name, text+"\n") }
	local("options.inc", `filters = "regexp,chartable"; dns { nameserver = ["127.0.0.1:15353"]; timeout = 0.2s; retransmits = 1; } local_addrs = [];`)
	local("worker-normal.inc", fmt.Sprintf("bind_socket = %q;", r.Addr))
	local("worker-controller.inc", fmt.Sprintf("bind_socket = %q; password = \"q1\";", FreeAddr(t)))
	local("worker-proxy.inc", fmt.Sprintf("bind_socket = %q; milter = yes; upstream \"local\" { default = yes; hosts = %q; }", r.Milter, r.Addr))
	local("milter_headers.conf", `use = ["x-spamd-bar","x-spam-status","authentication-results"]; extended_spam_headers = true; skip_local = false;`)
	local("logging.inc", `type = "console"; level = "info";`)
	for _, m := range disabled {
		local(m+".conf", "enabled = false;")
	}
	if clamd != "" {
		local("antivirus.conf", fmt.Sprintf(`clamav { type = "clamav"; symbol = "CLAM_VIRUS"; scan_mime_parts = false; action = "reject"; servers = %q; }`, clamd))
	}
	for _, f := range files {
		Write(t, dir, f[0], f[1])
	}
	for _, d := range []string{"override.d", "db", "run", "log"} {
		Write(t, dir, d+"/.keep", "")
	}
	args := []string{"rspamd", "-c", "/etc/rspamd/rspamd.conf", "--var=LOCAL_CONFDIR=" + dir, "--var=DBDIR=" + dir + "/db",
		"--var=RUNDIR=" + dir + "/run", "--var=LOGDIR=" + dir + "/log", "-f"}
	if Root() {
		Own(t, dir, "_rspamd")
		args = append(args, "-u", "_rspamd", "-g", "_rspamd")
	} else {
		args = append(args, "-i")
	}
	r.Process = Start(t, r.Addr, args...)
	Await(t, r.Milter)
	return r
}
