package filter

import (
	"testing"
	"time"
)

func TestAThrottleBeginsOpenAndStaysOpenWhileAllIsWell(t *testing.T) {
	th := throttle{max: 10}
	for range 1000 {
		if th.scans() != 10 {
			t.Fatalf("%d scans, want 10", th.scans())
		}
		th.success(time.Millisecond, 10)
	}
	th.success(200*time.Millisecond, 10) // jitter
	if th.scans() != 10 {
		t.Errorf("%d scans after one slower answer, want 10", th.scans())
	}
}

func TestAThrottleHalvesOncePerRoundOfFailures(t *testing.T) {
	th := throttle{max: 16}
	at := time.Now()
	for range 16 { // all were begun before the first of them failed
		th.failure(at, at.Add(time.Second))
	}
	if th.scans() != 8 {
		t.Errorf("%d scans after a round of failures, want 8", th.scans())
	}
	for i := range 10 {
		begin := at.Add(time.Duration(i+2) * time.Second)
		th.failure(begin, begin.Add(time.Millisecond))
	}
	if th.scans() != 1 {
		t.Errorf("%d scans after failures in a row, want 1: never none", th.scans())
	}
}

func TestAThrottleGrowsBackWhileItIsUsed(t *testing.T) {
	th := throttle{max: 8}
	th.failure(time.Now(), time.Now())
	for range 100 {
		th.success(time.Millisecond, 1)
	}
	if th.scans() != 4 {
		t.Errorf("%d scans, want 4: nobody wanted more", th.scans())
	}
	rounds := 0
	for ; th.scans() < 8; rounds++ {
		if rounds > 10 {
			t.Fatalf("%d scans after %d rounds, want 8", th.scans(), rounds)
		}
		for range th.scans() {
			th.success(time.Millisecond, th.scans())
		}
	}
	if rounds < 4 {
		t.Errorf("from 4 to 8 within %d rounds: too fast", rounds)
	}
}

func TestAThrottleShrinksWhenAnswersBecomeSlow(t *testing.T) {
	th := throttle{max: 20}
	for range 1000 {
		th.success(100*time.Millisecond, 20)
	}
	for range 100 {
		th.success(2*time.Second, th.scans())
		if th.scans() < 5 {
			t.Fatalf("%d scans, want no less than a quarter: slow answers are answers", th.scans())
		}
	}
	if slow := th.scans(); slow > 10 {
		t.Errorf("%d scans at a time of a scanner that became 20 times slower, want at most 10", slow)
	}
	for range 400 {
		th.success(100*time.Millisecond, th.scans())
	}
	if th.scans() != 20 {
		t.Errorf("%d scans after it recovered, want 20", th.scans())
	}
}

func TestAThrottleTakesLastingSlownessForUsual(t *testing.T) {
	th := throttle{max: 10}
	for range 100 {
		th.success(50*time.Millisecond, 10)
	}
	for range 5000 {
		th.success(time.Second, th.scans())
	}
	if th.scans() != 10 {
		t.Errorf("%d scans, want 10: this scanner is slow, not in trouble", th.scans())
	}
}
