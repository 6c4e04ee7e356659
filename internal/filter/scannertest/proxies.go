package scannertest

import (
	"fmt"
	"net"
	"path/filepath"
	"testing"
)

// Amavis is an amavisd that takes mail by SMTP, rejects viruses and spam, and
// gives the rest back.
type Amavis struct {
	*Process
	Addr string
}

// StartAmavis starts one. Its viruses are those of clamd; mail goes back to the
// address back. Wants root: amavisd insists on its own user.
func StartAmavis(t testing.TB, clamd *Clamd, back string) *Amavis {
	t.Helper()
	Need(t, "amavisd", "clamdscan")
	if !Root() {
		t.Skip("amavisd wants root to start")
	}
	dir := Dir(t)
	a := &Amavis{Addr: FreeAddr(t)}
	_, port, _ := net.SplitHostPort(a.Addr)
	for _, d := range []string{"tmp", "db", "quar", "home"} {
		Write(t, dir, "am/"+d+"/.keep", "")
	}
	Own(t, filepath.Join(dir, "am"), "amavis")
	scan := Write(t, dir, "clamdscan.conf", "LocalSocket "+clamd.Socket+"\n")
	host, backPort, _ := net.SplitHostPort(back)
	conf := Write(t, dir, "etc/amavisd.conf", fmt.Sprintf(`use strict;
$myhostname='mx.test.example'; $mydomain='test.example'; @local_domains_maps=(['.example.net']); @mynetworks=qw(127.0.0.0/8);
$daemon_user='amavis'; $daemon_group='amavis'; $MYHOME='%[1]s/am/home'; $TEMPBASE='%[1]s/am/tmp'; $ENV{TMPDIR}=$TEMPBASE;
$db_home='%[1]s/am/db'; $QUARANTINEDIR='%[1]s/am/quar'; $lock_file='%[1]s/am/home/lock'; $pid_file='%[1]s/am/home/pid';
$enable_db=0; $enable_zmq=0; $DO_SYSLOG=0; $LOGFILE='%[1]s/am/home/log'; $log_level=2; $max_servers=2;
$inet_socket_bind='127.0.0.1'; $inet_socket_port=[%[2]s]; $notify_method=$forward_method='smtp:[%[3]s]:%[4]s';
$final_virus_destiny=D_REJECT; $final_spam_destiny=D_REJECT; $final_banned_destiny=D_PASS; $final_bad_header_destiny=D_PASS;
$virus_quarantine_method=undef; $spam_quarantine_method=undef; $sa_local_tests_only=1; $enable_dkim_verification=0;
$smtp_connection_cache_enable=0; $sa_tag_level_deflt=-999; $sa_tag2_level_deflt=5; $sa_kill_level_deflt=900;
@av_scanners=(['clamdscan','%[6]s','-c %[5]s --fdpass --stdout --no-summary {}',[0],qr/:.*\sFOUND$/m,qr/^.*?: (?!Infected Archive)(.*) FOUND$/m]);
@av_scanners_backup=(); 1;
`, dir, port, host, backPort, scan, find("clamdscan")))
	a.Process = Start(t, a.Addr, "amavisd", "-c", conf, "foreground")
	return a
}

// Clamsmtp is a clamsmtpd, an SMTP proxy in front of back.
type Clamsmtp struct {
	*Process
	Addr string
}

// StartClamsmtp starts one.
func StartClamsmtp(t testing.TB, clamd *Clamd, back string) *Clamsmtp {
	t.Helper()
	Need(t, "clamsmtpd")
	dir := Dir(t)
	c := &Clamsmtp{Addr: FreeAddr(t)}
	Write(t, dir, "tmp/.keep", "")
	text := fmt.Sprintf("OutAddress: %s\nListen: %s\nClamAddress: %s\nTempDirectory: %s/tmp\nAction: bounce\nHeader: X-Virus-Scanned: by clamsmtp\n", back, c.Addr, clamd.Socket, dir)
	if Root() {
		text += "User: clamav\n" // who reads the copies
		Own(t, filepath.Join(dir, "tmp"), "clamav")
	}
	c.Process = Start(t, c.Addr, "clamsmtpd", "-f", Write(t, dir, "clamsmtpd.conf", text), "-d", "2")
	return c
}
