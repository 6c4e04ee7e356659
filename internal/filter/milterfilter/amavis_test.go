package milterfilter

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mtad/internal/filter/scannertest"
	"mtad/queue"
)

// amavisdConf: %[1]s is the directory, %[2]s the socket of clamd.
const amavisdConf = `use strict; $myhostname='mx.example.net'; $mydomain='example.net'; @local_domains_maps=(['.example.net']); @mynetworks=qw(127.0.0.0/8);
$daemon_user='amavis'; $daemon_group='amavis'; $MYHOME='%[1]s/am/home'; $TEMPBASE='%[1]s/am/tmp'; $ENV{TMPDIR}=$TEMPBASE;
$db_home='%[1]s/am/db'; $QUARANTINEDIR='%[1]s/am/quar'; $lock_file='%[1]s/am/home/lock'; $pid_file='%[1]s/am/home/pid'; $enable_db=0; $enable_zmq=0;
$DO_SYSLOG=0; $LOGFILE='%[1]s/am/home/log'; $log_level=2; $max_servers=2; $inet_socket_port=undef;
$unix_socketname='%[1]s/am/amavisd.sock'; $interface_policy{'SOCK'}='AM.PDP-SOCK';
$policy_bank{'AM.PDP-SOCK'}={protocol=>'AM.PDP',auth_required_release=>0}; $notify_method=$forward_method='smtp:[127.0.0.1]:9';
$final_virus_destiny=D_REJECT; $final_spam_destiny=D_PASS; $final_banned_destiny=D_PASS; $final_bad_header_destiny=D_PASS;
$virus_quarantine_method=undef; $spam_quarantine_method=undef; $sa_local_tests_only=1; $enable_dkim_verification=0;
$sa_tag_level_deflt=-999; $sa_tag2_level_deflt=5; $sa_kill_level_deflt=900;
@av_scanners=(['ClamAV',\&ask_daemon,["CONTSCAN {}\n",'%[2]s'],qr/\bOK$/m,qr/\bFOUND$/m,qr/^.*?: (?!Infected Archive)(.*) FOUND$/m]);
@av_scanners_backup=(); 1;
`

// startAmavis starts clamd, amavisd and amavisd-milter.
func startAmavis(t *testing.T) string {
	t.Helper()
	scannertest.Need(t, "clamd", "amavisd", "amavisd-milter", "setpriv")
	if !scannertest.Root() {
		t.Skip("amavisd changes to a user of its own: it wants to be started by root")
	}
	clamd := scannertest.StartClamdAs(t, "amavis") // it reads the parts in place
	dir, addr := scannertest.Dir(t), scannertest.FreeAddr(t)
	for _, d := range []string{"tmp", "db", "quar", "home"} {
		scannertest.Write(t, dir, "am/"+d+"/.keep", "")
	}
	scannertest.Own(t, dir+"/am", "amavis")
	if err := os.Chmod(dir+"/am/tmp", 0o750); err != nil {
		t.Fatal(err)
	}
	conf := scannertest.Write(t, dir, "etc/amavisd.conf", fmt.Sprintf(amavisdConf, dir, clamd.Socket))
	socket := filepath.Join(dir, "am", "amavisd.sock")
	run(t, socket, "amavisd", "-c", conf, "foreground")
	run(t, addr, "setpriv", "--reuid", "amavis", "--regid", "amavis", "--init-groups", "amavisd-milter", "-f",
		"-s", libmilter(addr), "-S", socket, "-w", dir+"/am/tmp", "-p", dir+"/am/home/am-milter.pid")
	return "tcp:" + addr
}

func TestAmavisdMilterMarksSpamAndRejectsTheVirus(t *testing.T) {
	r := newRig(t, nil, startAmavis(t))
	ham(t, r, "X-Virus-Scanned", "X-Spam-Flag", "X-Spam-Score", "X-Spam-Level", "X-Spam-Status")
	it := r.one(envelope(), scannertest.Spam())
	refused(t, r, scannertest.Virus(), "554 5.7.0")
	if got := r.content(it.ID); it.State != queue.Incoming || !strings.Contains(got, "X-Spam-Flag: YES\r\n") {
		t.Errorf("%v, %q", it.State, got)
	}
}
