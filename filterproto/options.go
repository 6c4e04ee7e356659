package filterproto

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"time"
)

// Options configure Run. Client and Filter are required.
type Options struct {
	Client *Client
	Filter string
	// Holder names this process for people. Default: host name and process ID.
	Holder string
	// Concurrency is how many handlers run at a time (default: twice the CPUs),
	// Batch how many messages one claim asks for (default 30), MaxBytes their octets
	// in all (default 32 MiB).
	Concurrency, Batch int
	MaxBytes           int64
	// InlineMax is the longest content that comes with the claim and is kept in
	// memory (default 256 KiB); longer content is streamed when it is opened.
	InlineMax int64
	// Lease is asked for and renewed at a third of it (default 5 min); Wait is how
	// long a claim waits for mail (default 30 s).
	Lease, Wait time.Duration
	// RetryDelay is how long a message rests after the handler's error (default
	// 10 s).
	RetryDelay time.Duration
	// Drain is how long handlers may go on when ctx of Run has ended (default 30 s).
	Drain  time.Duration
	Logger *slog.Logger
}

func (o Options) withDefaults() (Options, error) {
	if o.Client == nil || o.Filter == "" {
		return o, errors.New("filterproto: Run needs a client and a filter's name")
	}
	if o.Holder == "" {
		host, _ := os.Hostname()
		o.Holder = fmt.Sprintf("%s[%d]", host, os.Getpid())
	}
	set(&o.Concurrency, 2*runtime.GOMAXPROCS(0))
	set(&o.Batch, 30)
	set(&o.MaxBytes, 32<<20)
	set(&o.InlineMax, 256<<10)
	set(&o.Lease, 5*time.Minute)
	set(&o.Wait, 30*time.Second)
	set(&o.RetryDelay, 10*time.Second)
	set(&o.Drain, 30*time.Second)
	o.Batch = min(o.Batch, MaxBatch)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

func set[T int | int64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}
