package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mtad/api"
	"mtad/cmd/mtactl/internal/mailscanner"
	"mtad/filterproto"
)

func (t *tool) bridgeCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "bridge", Short: "Connect a scanner that cannot ask mtad itself",
		Args: noArgs,
		RunE: needVerb,
	}
	c.AddCommand(t.mailscannerCommand())
	return c
}

const mailscannerHelp = `Connect MailScanner 5 to a filter of kind pull.

Mail of the filter is put into MailScanner's incoming directory, and what comes
out of it goes back to mtad as a verdict. The command runs until it gets SIGTERM
or SIGINT, and may be killed at any moment: what was not judged is offered again,
and the next bridge removes the files of one that died. Several may run, also
over the same directories.

MailScanner has to run with

  MTA = msmail
  MSMail Queue Type = long
  MSMail Delivery Method = none

and the bridge as the same user, who may use the filter (scope filter:NAME). The
directories are those of MailScanner.conf unless flags say otherwise; with --conf ''
nothing is read.

A message that MailScanner does not give back was stored or deleted by one of its
actions. What becomes of it in mtad is said by --stored, when MailScanner's
quarantine has it, and by --gone, when it does not: hold (wait for an operator),
discard, or reject.

The settings and the way from Postfix to here are in docs/mailscanner.md.`

func (t *tool) mailscannerCommand() *cobra.Command {
	var o mailscanner.Options
	var conf, stored, gone string
	c := &cobra.Command{
		Use: "mailscanner", Short: "Let MailScanner judge the mail of a filter", Long: mailscannerHelp,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.WhenStored, o.WhenGone = mailscanner.Fate(stored), mailscanner.Fate(gone)
			if err := checkBridge(&o); err != nil {
				return err
			}
			if err := fromConf(&o, conf, c.Flags().Changed("quarantine")); err != nil {
				return err
			}
			return t.bridgeMailscanner(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&conf, "conf", "/etc/MailScanner/MailScanner.conf", "MailScanner's configuration; '' reads none")
	f.StringVar(&o.Filter, "filter", "mailscanner", "the filter in mtad's configuration")
	f.StringVar(&o.Incoming, "incoming", "", "MailScanner's Incoming Queue Dir (default: of --conf)")
	f.StringVar(&o.Outgoing, "outgoing", "", "MailScanner's Outgoing Queue Dir (default: of --conf)")
	f.StringVar(&o.Quarantine, "quarantine", "", "MailScanner's Quarantine Dir, to tell stored messages from others; '' does not look (default: of --conf)")
	f.StringVar(&stored, "stored", string(mailscanner.Hold), "what becomes of a message that MailScanner stored and did not give back: "+strings.Join(mailscanner.Fates(), ", "))
	f.StringVar(&gone, "gone", string(mailscanner.Hold), "what becomes of one that it neither stored nor gave back: "+strings.Join(mailscanner.Fates(), ", "))
	f.DurationVar(&o.HoldFor, "hold-for", 0, "how long a hold lasts; 0: until somebody ends it")
	f.DurationVar(&o.Lease, "lease", time.Minute, "lease asked for and renewed; after a crash of the bridge mail waits so long")
	f.DurationVar(&o.Patience, "patience", time.Hour, "how long MailScanner may have a message")
	f.DurationVar(&o.Poll, "poll", time.Second, "how often to look for an answer when the kernel reports none")
	f.DurationVar(&o.Drain, "drain", 30*time.Second, "how long to wait for MailScanner when the bridge has to end")
	f.IntVar(&o.Concurrency, "concurrency", 150, "how many messages MailScanner has at a time")
	f.IntVar(&o.Batch, "batch", 30, "how many messages are claimed at once")
	for _, name := range []string{"stored", "gone"} {
		_ = c.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(mailscanner.Fates(), cobra.ShellCompDirectiveNoFileComp))
	}
	return c
}

func checkBridge(o *mailscanner.Options) error {
	for i, f := range []mailscanner.Fate{o.WhenStored, o.WhenGone} {
		if !slices.Contains(mailscanner.Fates(), string(f)) {
			return usage("--%s %q: want %s", []string{"stored", "gone"}[i], f, strings.Join(mailscanner.Fates(), ", "))
		}
	}
	const maxLease, maxPatience = time.Hour, 7 * 24 * time.Hour
	switch {
	case o.Filter == "":
		return usage("--filter: a name is needed")
	case o.Lease < time.Second || o.Lease > maxLease:
		return usage("--lease: want 1s to %s", maxLease)
	case o.Patience < time.Second || o.Patience > maxPatience:
		return usage("--patience: want 1s to %s", maxPatience)
	case o.Poll < 10*time.Millisecond || o.Poll > time.Minute:
		return usage("--poll: want 10ms to 1m")
	case o.Drain <= 0, o.HoldFor < 0:
		return usage("--drain and --hold-for: no negative durations")
	case o.Concurrency < 1 || o.Concurrency > 10000 || o.Batch < 1 || o.Batch > filterproto.MaxBatch:
		return usage("--concurrency: want 1 to 10000; --batch: want 1 to %d", filterproto.MaxBatch)
	}
	return nil
}

// fromConf fills in what MailScanner's own configuration says, and refuses one with
// which messages would not come back.
func fromConf(o *mailscanner.Options, file string, quarantineSet bool) error {
	if file == "" {
		if o.Incoming == "" || o.Outgoing == "" {
			return usage("--incoming and --outgoing are needed without --conf")
		}
		return nil
	}
	conf, err := mailscanner.ReadConf(file)
	if err != nil {
		return usage("%v", err).withHint("--conf says where MailScanner.conf is")
	}
	if err := conf.Check(); err != nil {
		return usage("%s: %s", file, strings.ReplaceAll(err.Error(), "\n", "; ")).withHint("see docs/mailscanner.md")
	}
	for _, d := range []struct {
		option string
		dir    *string
		set    bool
	}{
		{"Incoming Queue Dir", &o.Incoming, o.Incoming != ""},
		{"Outgoing Queue Dir", &o.Outgoing, o.Outgoing != ""},
		{"Quarantine Dir", &o.Quarantine, quarantineSet},
	} {
		if d.set {
			continue
		}
		if *d.dir, err = conf.Dir(d.option); err != nil {
			return usage("%s: %v", file, err).withHint("--incoming, --outgoing and --quarantine name them")
		}
	}
	return nil
}

func (t *tool) bridgeMailscanner(ctx context.Context, o mailscanner.Options) error {
	client, err := t.filterClient()
	if err != nil {
		return err
	}
	defer client.Close()
	o.Client = client
	o.Logger = slog.New(slog.NewTextHandler(t.err, nil))
	err = mailscanner.Run(ctx, o)
	var e *filterproto.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return apiError(&api.Error{Code: e.Code, Message: e.Message, QueueID: e.QueueID, Field: e.Field, RetryAfter: e.RetryAfter}, e.Status)
	}
	return &exitError{status: exitFailure, msg: fmt.Sprint(err)}
}
