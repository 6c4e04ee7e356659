package filter

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Each history is commands and what the breaker says after each: "fail", "ok",
// "try" (with the answer), "abandon", "+5s" (time passes).
func TestBreakerHistories(t *testing.T) {
	for name, history := range map[string]string{
		"failures in a row open it": `
			fail closed
			fail closed
			try yes closed
			fail open
			try no open
			fail open`,
		"a success between starts the count again": `
			fail closed
			fail closed
			ok closed
			fail closed
			fail closed
			try yes closed`,
		"one probe when the time is up": `
			fail closed
			fail closed
			fail open
			+4s open
			try no open
			+1s open
			try yes half-open
			try no half-open
			ok closed
			try yes closed`,
		"a failed probe doubles the time, up to the bound": `
			fail closed
			fail closed
			fail open
			+5s open
			try yes half-open
			fail open
			+9s open
			try no open
			+1s open
			try yes half-open
			fail open
			+11s open
			try no open
			+1s open
			try yes half-open`,
		"a probe that was never made is there again": `
			fail closed
			fail closed
			fail open
			+5s open
			try yes half-open
			abandon open
			try yes half-open`,
		"an answer from before the failures proves nothing": `
			fail closed
			fail closed
			fail open
			ok open`,
		"recovery forgets how long it was open": `
			fail closed
			fail closed
			fail open
			+5s open
			try yes half-open
			fail open
			+10s open
			try yes half-open
			ok closed
			fail closed
			fail closed
			fail open
			+5s open
			try yes half-open`,
	} {
		t.Run(name, func(t *testing.T) {
			b := breaker{settings: BreakerSettings{Failures: 3, Open: 5 * time.Second, MaxOpen: 12 * time.Second}}
			now := time.Unix(0, 0)
			for i, line := range strings.Split(strings.TrimSpace(history), "\n") {
				command, want, _ := strings.Cut(strings.TrimSpace(line), " ")
				got := ""
				switch command {
				case "fail":
					b.failure(now)
				case "ok":
					b.success()
				case "abandon":
					b.abandon(now)
				case "try":
					got = map[bool]string{true: "yes ", false: "no "}[b.allow(now)]
				default:
					d, err := time.ParseDuration(command[1:])
					if err != nil {
						t.Fatal(err)
					}
					now = now.Add(d)
				}
				if got += fmt.Sprint(b.mode); got != want {
					t.Fatalf("step %d, %s: %s, want %s", i+1, command, got, want)
				}
			}
		})
	}
}
