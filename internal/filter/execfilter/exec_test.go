package execfilter

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/queue"

	"golang.org/x/sys/unix"
)

func TestExitStatusIsTheVerdict(t *testing.T) {
	for code, want := range map[int]filterproto.Disposition{
		0: filterproto.Accept, 99: filterproto.Discard,
		65: filterproto.Reject, 67: filterproto.Reject, 69: filterproto.Reject, 77: filterproto.Reject,
		64: filterproto.Defer, 66: filterproto.Defer, 68: filterproto.Defer, 70: filterproto.Defer, 71: filterproto.Defer, 72: filterproto.Defer,
		73: filterproto.Defer, 74: filterproto.Defer, 75: filterproto.Defer, 76: filterproto.Defer, 78: filterproto.Defer,
		5: filterproto.Reject, 6: filterproto.Accept, // configured
	} {
		o := program("cat >/dev/null; exit " + strconv.Itoa(code))
		o.Exit = map[int]Answer{5: Reject, 6: Quarantine}
		x := run1(t, o)
		if x.err != nil || x.verdict.Disposition != want {
			t.Errorf("exit status %d: got %q, %v; want %s", code, x.verdict.Disposition, x.err, want)
		}
		if held := x.items[0].Hold != nil; held != (code == 6) {
			t.Errorf("exit status %d: held %v", code, held)
		}
	}
}

func TestWhatSaysNothingIsAFailureAndNoVerdict(t *testing.T) {
	for _, code := range []int{1, 2, 63, 79, 98, 100, 126, 127, 255} {
		run1(t, program("exit "+strconv.Itoa(code))).fails(filter.Protocol)
	}
	run1(t, program("kill -SEGV $$")).fails(filter.Crash)
	run1(t, program("kill -KILL $$")).fails(filter.Crash)
	run1(t, Options{Command: []string{"/bin/true"}}).verdictIs(t, filterproto.Accept)
	f, err := New(Options{Command: []string{"/no/such/program"}, AllowRoot: true})
	if err != nil || f == nil {
		t.Fatal(err)
	}
}

func (x *trial) verdictIs(t *testing.T, d filterproto.Disposition) {
	t.Helper()
	if x.err != nil || x.verdict.Disposition != d {
		t.Errorf("got %+v, %v; want %s", x.verdict, x.err, d)
	}
}

func TestContentComesOctetByOctetWithAndWithoutTrace(t *testing.T) {
	dir := t.TempDir()
	for _, with := range []bool{false, true} {
		o := program("cat > $1")
		o.Command = append(o.Command, "sh", filepath.Join(dir, "got"))
		o.Trace = with
		run1(t, o).verdictIs(t, filterproto.Accept)
		got, err := os.ReadFile(filepath.Join(dir, "got"))
		want := ham
		if with {
			want = trace + ham
		}
		if err != nil || string(got) != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
}

func TestEnvelopeComesOnDescriptor3(t *testing.T) {
	dir := t.TempDir()
	o := program("cat <&$MTAD_ENVELOPE_FD > $1; cat >/dev/null")
	o.Command = append(o.Command, "sh", filepath.Join(dir, "got"))
	run1(t, o).verdictIs(t, filterproto.Accept)
	got, err := os.ReadFile(filepath.Join(dir, "got"))
	want := "protocol_name: ESMTPSA\nhelo_name: () { :;}; echo\nclient_name: unknown\nclient_address: [ipv6:2001:db8::1]\nclient_port: 1234\n" +
		"sasl_method: PLAIN\nsasl_username: alice\nsize: " + strconv.Itoa(len(ham)) + "\n" +
		"encryption_protocol: TLSv1.3\nencryption_cipher: TLS_AES_128_GCM_SHA256\nencryption_keysize: 128\n" +
		"sender: a b;$(touch /tmp/x)`id`@example.org\ndsn-envelope-id: env 1\ndsn-return-option: headers\n" +
		"recipient: b@example.net\ndsn-notify-options: fail,delay\ndsn-orig-rcpt: rfc822;b@example.net\n" +
		"recipient: c@example.net\ndsn-notify-options: never\n\n"
	if err != nil || string(got) != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestAValueWithALineEndIsNotWritten(t *testing.T) {
	var b strings.Builder
	it := queue.Item{Envelope: envelope(), Generations: []queue.Generation{{}}}
	it.Envelope.Client.Helo = "x\nsender: forged@example.org"
	if err := writeEnvelope(&b, it); err != nil || strings.Contains(b.String(), "forged") || strings.Contains(b.String(), "helo_name") {
		t.Errorf("%v: %q", err, b.String())
	}
}

func TestEnvironmentIsCleanAndHarmless(t *testing.T) {
	t.Setenv("SECRET_OF_THE_DAEMON", "1")
	dir := t.TempDir()
	o := program("env > $1; pwd >> $1; cat >/dev/null; ls -A | wc -l >> $1")
	o.Command = append(o.Command, "sh", filepath.Join(dir, "got"))
	o.Environment = []string{"PERL5LIB=/opt/lib"}
	run1(t, o).verdictIs(t, filterproto.Accept)
	b, err := os.ReadFile(filepath.Join(dir, "got"))
	if err != nil {
		t.Fatal(err)
	}
	got := string(b)
	for _, line := range strings.Split(got, "\n") {
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		switch name {
		case "PATH", "LANG", "LC_ALL", "HOME", "TMPDIR", "PWD", "PERL5LIB", "_", "SHLVL", "OLDPWD":
		default:
			if !strings.HasPrefix(name, "MTAD_") {
				t.Errorf("%s is in the environment", line)
			}
			if strings.ContainsAny(value, " ();$`{}\\'\"|&*?") {
				t.Errorf("%s: %q is not harmless", name, value)
			}
		}
	}
	for _, want := range []string{
		"MTAD_ENVELOPE_FD=3", "MTAD_FILTER=f", "MTAD_SENDER=a_b___touch_/tmp/x__id_@example.org", "MTAD_RECIPIENT_COUNT=2",
		"MTAD_HELO_NAME=_____:____echo", "MTAD_CLIENT_ADDRESS=2001:db8::1", "MTAD_STAGED=1", "PERL5LIB=/opt/lib", "\n0\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
	if _, err := os.Stat(between(got, "TMPDIR=", "\n")); !os.IsNotExist(err) {
		t.Errorf("the directory of the run is still there: %v", err)
	}
}

func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}

func TestOutputReplacesTheMessage(t *testing.T) {
	for name, c := range map[string]struct {
		script, want string
		generations  int
	}{
		"same octets":      {"cat", ham, 1},
		"one header field": {"printf 'X-Seen: yes\\r\\n'; cat", "X-Seen: yes\r\n" + ham, 2},
		"line ends":        {"cat >/dev/null; printf 'Subject: new\\n\\nbody\\nmore\\r\\n'", "Subject: new\r\n\r\nbody\r\nmore\r\n", 2},
	} {
		t.Run(name, func(t *testing.T) {
			o := program(c.script)
			o.Replace, o.Trace = true, true
			x := run1(t, o)
			x.verdictIs(t, filterproto.Accept)
			if got := x.content(); got != c.want {
				// Our own trace is in front of all that is delivered; here it is not.
				t.Errorf("got %q, want %q", got, c.want)
			}
			if n := len(x.items[0].Generations); n != c.generations {
				t.Errorf("%d generations, want %d", n, c.generations)
			}
		})
	}
}

func TestOutputCountsWithAcceptOnly(t *testing.T) {
	o := program("cat; exit 69")
	o.Replace = true
	run1(t, o).verdictIs(t, filterproto.Reject)
	o = program("cat >/dev/null")
	o.Replace = true
	run1(t, o).fails(filter.Protocol) // nothing written
	o = program("printf x; exec sleep 0")
	run1(t, o).verdictIs(t, filterproto.Accept)
}

func TestLargeContentGoesThroughBothWays(t *testing.T) {
	large := ham + strings.Repeat("0123456789abcdef\r\n", 300_000)
	o := program("cat")
	o.Replace = true
	x := try(t, o, large, time.Minute)
	x.verdictIs(t, filterproto.Accept)
	if len(x.items[0].Generations) != 1 {
		t.Error("the same octets made another generation")
	}
	o = program("cat; echo more")
	o.Replace = true
	x = try(t, o, large, time.Minute)
	x.verdictIs(t, filterproto.Accept)
	if got := x.content(); got != large+"more\r\n" {
		t.Errorf("got %d octets, want %d", len(got), len(large)+6)
	}
}

// Each of these programs harms its own verdict only, and the scan ends.
func TestBadPrograms(t *testing.T) {
	large := ham + strings.Repeat("0123456789abcdef\r\n", 100_000)
	const short = 700 * time.Millisecond
	for name, c := range map[string]struct {
		o     Options
		limit time.Duration
		class filter.Class // "" is accept
	}{
		"does not read":             {program("exit 0"), time.Minute, ""},
		"closes its input early":    {program("exec <&-; exit 0"), time.Minute, ""},
		"reads one line":            {program("read x; exit 0"), time.Minute, ""},
		"leaves a child behind":     {program("sleep 1000 & exit 0"), time.Minute, ""},
		"leaves a session behind":   {program("setsid sleep 20 & sleep 0.2; exit 0"), time.Minute, ""},
		"sleeps":                    {program("sleep 1000"), short, filter.Timeout},
		"ignores SIGTERM":           {program("trap '' TERM; sleep 1000 & sleep 1000; sleep 1000"), short, filter.Timeout},
		"stops itself":              {program("kill -STOP $$"), short, filter.Timeout},
		"writes without end":        {replacing(program("yes")), time.Minute, filter.Protocol},
		"complains without end":     {program("yes >&2"), short, filter.Timeout},
		"a replacement held open":   {replacing(program("setsid sh -c 'echo >ready; sleep 20' & while [ ! -e ready ]; do :; done; cat; exit 0")), time.Minute, filter.Protocol},
		"takes all memory":          {python("x = bytearray(3 << 30)"), time.Minute, filter.Protocol},
		"takes all time":            {limited(program("while :; do :; done"), Limits{CPU: time.Second}), time.Minute, filter.Crash},
		"writes a large file":       {limited(program("cat >/dev/null; yes > file; exit 0"), Limits{FileSize: 1 << 20}), time.Minute, ""},
		"is not there":              {Options{Command: []string{"/no/such/program"}}, time.Minute, filter.Unreachable},
		"is not a program":          {Options{Command: []string{"/etc/passwd"}}, time.Minute, filter.Unreachable},
		"ends itself by its memory": {python("import resource,os,sys; sys.exit(0 if resource.getrlimit(resource.RLIMIT_AS)[0] == 1<<30 and resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 256 and resource.getrlimit(resource.RLIMIT_CORE)[0] == 0 else 1)"), time.Minute, ""},
		"has no new privileges":     {program("grep -q 'NoNewPrivs:.*1' /proc/self/status || exit 1"), time.Minute, ""},
		"children are bounded too":  {program("(ulimit -v; sleep 0.1) | grep -qx 1048576 || exit 1"), time.Minute, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if strings.HasPrefix(c.o.Command[0], "/no/") || c.o.Command[0] == "/etc/passwd" {
				unreachable(t, c.o)
				return
			}
			x := try(t, c.o, large, c.limit)
			if c.class == "" {
				x.verdictIs(t, filterproto.Accept)
			} else {
				x.fails(c.class)
			}
		})
	}
}

func replacing(o Options) Options {
	o.Replace = true
	return o
}

func limited(o Options, l Limits) Options {
	o.Limits = l
	return o
}

func unreachable(t *testing.T, o Options) {
	t.Helper()
	o.AllowRoot = true
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	x, err := f.pipes()
	if err != nil {
		t.Fatal(err)
	}
	defer x.close()
	if _, err := f.launch(x, nil, "/"); err == nil {
		t.Error("it was started")
	}
}

// Who is left of the group when the program has ended, or its time has, is killed.
func TestTheWholeGroupEnds(t *testing.T) {
	dir := t.TempDir()
	pid := filepath.Join(dir, "pid")
	for _, end := range []string{"exit 0", "wait"} {
		o := program("trap '' TERM; sleep 1000 & echo $! > $1; " + end)
		o.Command = append(o.Command, "sh", pid)
		o.Limits.Grace = 100 * time.Millisecond
		try(t, o, ham, 500*time.Millisecond)
		b, err := os.ReadFile(pid)
		if err != nil {
			t.Fatal(err)
		}
		n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
		if alive(n) {
			t.Errorf("%s: process %d lives", end, n)
		}
	}
}

// alive says whether a process still runs when it has had time to die.
func alive(pid int) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10_000)
		if err != unix.EINTR {
			return n == 0 || err != nil
		}
	}
}

func TestStandardErrorIsKeptInOneHarmlessLine(t *testing.T) {
	x := run1(t, program(`cat >/dev/null; printf 'one\033[31m\nqueue_id=forged \377\n' >&2; yes 2>/dev/null | head -c 100000 >&2; exit 69`))
	x.verdictIs(t, filterproto.Reject)
	if want := `exit status 69: one\u001b[31m`; x.verdict.Reason != want {
		t.Errorf("got %q, want %q", x.verdict.Reason, want)
	}
	if len(x.log) > 3*maxStderr || !strings.Contains(x.log, "octets=100") || strings.Contains(x.log, "\x1b") || strings.Count(x.log, "\n") != 1 {
		t.Errorf("log of %d octets: %.300q", len(x.log), x.log)
	}
}

func TestItRunsAsTheNamedUserWithNothingOfRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root")
	}
	if _, err := New(Options{Command: []string{"/bin/true"}}); err == nil {
		t.Error("it may run as root without a word")
	}
	if _, err := New(Options{Command: []string{"/bin/true"}, User: "root"}); err == nil {
		t.Error("it may run as root by name")
	}
	if _, err := New(Options{Command: []string{"/bin/true"}, User: "no-such-user"}); err == nil {
		t.Error("it may run as nobody in particular")
	}
	o := program(`cat >/dev/null; touch mine && test "$(id -u)" = 65534 && test "$(id -g)" = 65534 && ! cat /etc/shadow 2>/dev/null || exit 65; sed -n 's/^Cap[EP][a-z]*:\t//p' /proc/self/status | grep -qv '^0*$' && exit 77; exit 0`)
	o.User = "nobody"
	run1(t, o).verdictIs(t, filterproto.Accept)
}

func TestOptionsThatCannotBeMeant(t *testing.T) {
	for name, o := range map[string]Options{
		"no command":       {},
		"no path":          {Command: []string{"cat"}},
		"NUL":              {Command: []string{"/bin/cat", "a\x00b"}},
		"status":           {Command: []string{"/bin/cat"}, Exit: map[int]Answer{256: Accept}},
		"answer":           {Command: []string{"/bin/cat"}, Exit: map[int]Answer{1: "perhaps"}},
		"environment":      {Command: []string{"/bin/cat"}, Environment: []string{"A"}},
		"name":             {Command: []string{"/bin/cat"}, Environment: []string{"A B=1"}},
		"name that is set": {Command: []string{"/bin/cat"}, Environment: []string{"MTAD_SENDER=1"}},
	} {
		o.AllowRoot = true
		if _, err := New(o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
