package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mtad/api"
)

// tool is one run of mtactl.
type tool struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string
	args     []string
	name     string // what the program is called in its messages; default mtactl

	// What flags set.
	server, tokenFile, caFile string
	output                    string
	timeout                   time.Duration

	// patient: an answer may take as long as the filters do.
	patient bool

	client *api.ClientWithResponses
}

func (t *tool) run(ctx context.Context) int {
	root := t.root()
	root.SetArgs(t.args)
	root.SetIn(t.in)
	root.SetOut(t.out)
	root.SetErr(t.err)
	return t.report(root.ExecuteContext(ctx))
}

const longHelp = `mtactl looks at mtad's queue and changes it. It speaks to mtad's HTTP API.

Exit status:

   0  done
   1  error, or a change that some messages refused
   2  no such message, or nothing matches
  64  wrong usage
  69  mtad cannot be reached
  75  not now; the same may work later
  77  not allowed`

func (t *tool) root() *cobra.Command {
	c := &cobra.Command{
		Use: "mtactl", Short: "Look at mtad's queue and change it", Long: longHelp,
		SilenceErrors: true, SilenceUsage: true, DisableAutoGenTag: true,
		Args: noArgs,
		RunE: needVerb,
	}
	c.SetFlagErrorFunc(flagError)
	f := c.PersistentFlags()
	f.StringVar(&t.server, "server", "", "where mtad is: unix:/path, http://host:port or https://host:port (default: $MTACTL_SERVER, or the api.sock in the user's state directory, /run/mtad, /var/lib/mtad or /var/spool/mtad)")
	f.StringVar(&t.tokenFile, "token-file", "", "file that holds the bearer token (default: the token in $MTACTL_TOKEN)")
	f.StringVar(&t.caFile, "ca-file", "", "certificates (PEM) to trust besides the system's for https")
	f.StringVarP(&t.output, "output", "o", "table", "table or json")
	f.DurationVar(&t.timeout, "timeout", time.Minute, "how long to wait for one answer")
	c.PersistentPreRunE = func(*cobra.Command, []string) error {
		if t.output != "table" && t.output != "json" {
			return usage("--output %q: want table or json", t.output)
		}
		if t.timeout <= 0 {
			return usage("--timeout: want more than 0")
		}
		return nil
	}
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp))
	c.AddCommand(t.submitCommand(), t.queueCommand(), t.quarantineCommand(), t.shapeCommand(), t.traceCommand(), t.diffCommand(), t.filtersCommand(), t.bridgeCommand(), t.statusCommand(), t.eventsCommand(), t.webhooksCommand(), t.dkimCommand(), t.tokenCommand(), t.versionCommand())
	c.AddCommand(t.sendmailCommands()...)
	return c
}

func flagError(c *cobra.Command, err error) error {
	e := usage("%v", err)
	if strings.HasPrefix(err.Error(), "unknown flag: --filter") && c.Flags().Lookup("state") != nil {
		e.hint = "an expression is an argument: " + c.CommandPath() + " 'state=deferred age>2h'"
	}
	return e
}

// connect makes the client, once.
func (t *tool) connect() error {
	if t.client != nil {
		return nil
	}
	c, err := dial(t)
	t.client = c
	return err
}

// needVerb is what a command of commands does alone.
func needVerb(c *cobra.Command, _ []string) error {
	c.SetOut(c.ErrOrStderr())
	_ = c.Help()
	return usage("%s needs a verb", c.CommandPath())
}

func noArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	e := usage("%s: unknown argument %q", c.CommandPath(), args[0])
	if c.HasSubCommands() {
		e = usage("%s has no command %q", c.CommandPath(), args[0])
		e.hint = "'" + c.CommandPath() + " --help' lists them"
	}
	c.SuggestionsMinimumDistance = 2
	if s := c.SuggestionsFor(args[0]); len(s) > 0 {
		e.hint = "did you mean '" + c.CommandPath() + " " + s[0] + "'?"
	}
	return e
}

// report prints an error and finds the exit status.
func (t *tool) report(err error) int {
	if err == nil {
		return exitOK
	}
	var e *exitError
	if !errors.As(err, &e) {
		// Only cobra's own errors come without a status: a verb it does not know.
		e = usage("%v", err)
	}
	if e.msg != "" {
		fmt.Fprintf(t.err, "%s: error: %s\n", t.called(), oneLine(e.msg))
	}
	if e.hint != "" {
		fmt.Fprintf(t.err, "%s: hint: %s\n", t.called(), oneLine(e.hint))
	}
	return e.status
}

func (t *tool) called() string {
	if t.name == "" {
		return "mtactl"
	}
	return t.name
}

// terminal reports whether a stream is one that a person sits at.
func terminal(v any) bool {
	f, ok := v.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	if err != nil || st.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull) // a character device too
	return err != nil || !os.SameFile(st, null)
}
