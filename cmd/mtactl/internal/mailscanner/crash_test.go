package mailscanner_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"mtad/cmd/mtactl/internal/mailscanner"
)

// Whichever process is killed, before whichever step, the message is delivered once,
// scanned, and no file is left.
func TestKilledBeforeAnyStepTheMessageIsDeliveredOnceAndScanned(t *testing.T) {
	type victim struct{ what, step string }
	var victims []victim
	for _, s := range mailscanner.Steps() {
		victims = append(victims, victim{"bridge", s})
	}
	for _, s := range standinSteps {
		victims = append(victims, victim{"standin", s})
	}
	for _, v := range victims {
		t.Run(v.what+" "+v.step, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "after")
			for _, what := range []string{"bridge", "standin"} {
				die := ""
				if what == v.what {
					die = v.step
				}
				r.start(what, die)
			}
			r.send(ham)
			if got := scanned(t, r.arrived().text); got != ham {
				t.Errorf("got %q", got)
			}
			r.until("the death", func() bool { _, err := os.Stat(filepath.Join(r.dir, "died")); return err == nil })
			r.empty()
			r.clean(1)
		})
	}
}

// A message that MailScanner stored or deleted is held once, too: never delivered.
func TestKilledOverAStoredMessageItIsHeld(t *testing.T) {
	for _, v := range [][2]string{{"standin", "scan"}, {"standin", "unlink"}, {"standin", "unlock"}, {"bridge", "read"}, {"bridge", "send"}} {
		t.Run(v[0]+" "+v[1], func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "after")
			for _, what := range []string{"bridge", "standin"} {
				die := ""
				if what == v[0] {
					die = v[1]
				}
				r.start(what, die)
			}
			r.send(withSubject("stored"))
			if reason := r.held(); !strings.Contains(reason, "quarantine") {
				t.Errorf("held because %q", reason)
			}
			r.clean(1)
			select {
			case m := <-r.got:
				t.Errorf("delivered: %q", m.text)
			default:
			}
		})
	}
}

var listening = regexp.MustCompile(`msg=listening name=smtp .*address=([0-9.:]+)`)

// smtpAddr waits for the newest address that mtad said it listens on, other than old.
func (r *rig) smtpAddr(old string) string {
	r.t.Helper()
	addr := ""
	r.until("mtad", func() bool {
		if all := listening.FindAllStringSubmatch(r.logs.String(), -1); len(all) > 0 {
			addr = all[len(all)-1][1]
		}
		return addr != "" && addr != old
	})
	return addr
}

// All three are killed at random while mail comes in. What was acknowledged arrives,
// and nothing that arrives was scanned by nobody or twice. (It may arrive twice: mtad
// is killed while it delivers, too.)
func TestAllAreKilledAtRandomNothingIsLostOrUnscanned(t *testing.T) {
	r := newRigWithout(t, "after")
	mtad, bridge, scanner := r.start("mtad", ""), r.start("bridge", ""), r.start("standin", "")
	r.addr = r.smtpAddr("")
	pick := rand.New(rand.NewPCG(1, 2))
	missing := make(map[string]bool)
	for i := range 40 {
		text := "X-Number: " + strconv.Itoa(i) + "\r\n" + ham
		if reply, err := send(r.addr, text, "b@example.net"); err == nil && strings.HasPrefix(reply, "250 ") {
			missing[text] = true
		}
		switch i % 10 {
		case 3, 5:
			bridge.kill()
		case 6, 8:
			scanner.kill()
		case 9:
			if pick.IntN(2) == 0 {
				mtad.kill()
				r.addr = r.smtpAddr(r.addr)
			}
		}
	}
	if len(missing) < 20 {
		t.Fatalf("%d acknowledged: too few for the test to say anything", len(missing))
	}
	limit := time.After(3 * time.Minute)
	for len(missing) > 0 {
		select {
		case m := <-r.got:
			delete(missing, scanned(t, m.text))
		case <-limit:
			t.Fatalf("%d acknowledged messages did not arrive", len(missing))
		}
	}
	r.clean(1)
}
