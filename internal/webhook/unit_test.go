package webhook

import (
	"encoding/base64"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mtad/internal/events"
)

// The vector of the Standard Webhooks specification's reference libraries.
func TestSignatureIsThatOfTheSpecification(t *testing.T) {
	s, err := ParseSecrets([]byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := Sign(s, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTwoSecretsSignTwice(t *testing.T) {
	a, b := NewSecret(), NewSecret()
	s, err := ParseSecrets([]byte("# new\n" + a + "\n\n" + b + "\n"))
	if err != nil || len(s) != 2 {
		t.Fatal(len(s), err)
	}
	sigs := strings.Split(Sign(s, "id", time.Unix(1, 0), []byte("x")), " ")
	if len(sigs) != 2 || sigs[0] == sigs[1] || sigs[1] != Sign(s[1:], "id", time.Unix(1, 0), []byte("x")) {
		t.Errorf("signatures %q", sigs)
	}
}

func TestBadSecretsAreRefusedWithoutBeingShown(t *testing.T) {
	short := "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 23))
	for _, f := range []string{"", "# nothing\n", "hunter2hunter2hunter2hunter2", short, "whsec_!!", strings.Repeat(NewSecret()+"\n", 3), strings.Repeat("x", 5000)} {
		_, err := ParseSecrets([]byte(f))
		if err == nil {
			t.Errorf("%q was taken", f)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows the file: %v", err)
		}
	}
}

func TestOnlyPublicAddressesAreConnectedTo(t *testing.T) {
	for _, s := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.255", "169.254.169.254",
		"172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255",
		"198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "168.63.129.16",
		"::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
		"64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1", "2001::1", "2001:db8::1", "2001:20::1", "fc00::1", "fd00:ec2::254", "fe80::1",
		"fe80::1%eth0", "2606:4700::1%eth0", "fec0::1", "ff02::1", "100::1", "3fff::1", "5f00::1",
	} {
		if public(netip.MustParseAddr(s)) == nil {
			t.Errorf("%s is taken for public", s)
		}
	}
	for _, s := range []string{"1.1.1.1", "9.9.9.9", "172.32.0.1", "100.128.0.1", "198.20.0.1", "::ffff:1.1.1.1", "64:ff9b::101:101", "2606:4700:4700::1111", "2a00:1450::1"} {
		if err := public(netip.MustParseAddr(s)); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestURLsThatATargetMayNotHave(t *testing.T) {
	for _, u := range []string{"", "x", "/path", "http://h/", "ftp://h/", "https://", "https://u:p@h/", "https://h/#f", "https:h", "file:///etc/passwd", "https://" + strings.Repeat("h", 3000)} {
		if CheckURL(u, false) == nil {
			t.Errorf("%q was taken", u)
		}
	}
	if err := CheckURL("https://h:8443/p?q=1", false); err != nil {
		t.Error(err)
	}
	if err := CheckURL("http://h/", true); err != nil {
		t.Error(err)
	}
}

func TestRetryAfterIsObeyedWithinBounds(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for s, want := range map[string]time.Duration{
		"": 0, "x": 0, "-5": 0, "0": minWait, "7": 7 * time.Second, "999999": maxWait, "99999999999999999999": 0,
		now.Add(90 * time.Second).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"): 90 * time.Second,
		now.Add(-time.Hour).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"):       minWait,
	} {
		if got := retryAfter(s, now); got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	}
}

func pos(s string) events.Position { return events.Position{After: s} }

func TestTheWindowKeepsTheOrderOfEachMessage(t *testing.T) {
	now := time.Unix(100, 0)
	w := newWindow(pos("0"))
	a1, b1, a2 := &entry{id: "a1", message: "a", after: pos("1")}, &entry{id: "b1", message: "b", after: pos("2")}, &entry{id: "a2", message: "a", after: pos("3")}
	for _, e := range []*entry{a1, b1, a2} {
		w.add(e)
	}
	take := func(want *entry) {
		t.Helper()
		e, _ := w.ready(now)
		if e != want {
			t.Fatalf("ready %+v, want %+v", e, want)
		}
		e.sending = true
	}
	take(a1)
	take(b1)
	if e, _ := w.ready(now); e != nil {
		t.Fatalf("%s is sent before the one in front of it was taken", e.id)
	}
	w.settle(b1)
	if w.place != pos("0") {
		t.Errorf("place %v passed an event that was not taken", w.place)
	}
	a1.sending, a1.due = false, now.Add(time.Minute) // it failed
	if e, wait := w.ready(now); e != nil || wait != time.Minute {
		t.Errorf("ready %v, wait %v", e, wait)
	}
	w.rush(now)
	take(a1)
	w.settle(a1)
	if w.place != pos("2") {
		t.Errorf("place %v, want 2", w.place)
	}
	w.pass(pos("4"))
	take(a2)
	w.settle(a2)
	if w.place != pos("4") || len(w.entries) != 0 || len(w.last) != 0 || w.waiting != 0 {
		t.Errorf("place %v, %d entries, %d messages left", w.place, len(w.entries), len(w.last))
	}
}

func TestAPlaceSurvivesAndADamagedOneIsNoticed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.json")
	if _, ok, err := readState(path); ok || err != nil {
		t.Fatal(ok, err)
	}
	want := state{URL: "u", Position: pos("1a-2.3"), Stopped: "gone"}
	if err := writeState(path, want); err != nil {
		t.Fatal(err)
	}
	got, ok, err := readState(path)
	if err != nil || !ok || got.Position != want.Position || got.Stopped != "gone" {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", "{", `{"version":9}`, `{"version":1,"position":{"after":"x"}}`, strings.Repeat("x", maxState+1)} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := readState(path); err == nil {
			t.Errorf("%.20q was read", bad)
		}
	}
}
