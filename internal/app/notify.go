package app

import (
	"context"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notify tells the service manager, if there is one (sd_notify(3)).
func notify(states ...string) {
	for _, s := range states {
		_, _ = daemon.SdNotify(false, s)
	}
}

func notifyReady(status string) {
	notify(daemon.SdNotifyReady + "\nSTATUS=" + status)
}

// notifyReloading gives the time that Type=notify-reload wants.
func notifyReloading(now time.Duration) {
	notify(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Microseconds()))
}

func notifyStopping() { notify(daemon.SdNotifyStopping) }

// watchdog pings the service manager at half of the time it allows, as long as
// alive answers.
func watchdog(ctx context.Context, alive func(context.Context) bool) error {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every <= 0 {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(every / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if alive(ctx) {
				notify(daemon.SdNotifyWatchdog)
			}
		}
	}
}
