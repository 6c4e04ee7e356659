// Command mtad is the mail transfer agent: one binary, one configuration file.
//
//	mtad run -c FILE      serve until SIGTERM; SIGHUP reads the file again
//	mtad check -c FILE    say what is wrong with the file
//	mtad password LOGIN   make a line of a password file
//	mtad demo             show a message's way, with nothing else needed
//	mtad config docs      print the reference of all keys
//	mtad config defaults  print a file with all defaults
//	mtad version
//
// Exit status: 0 for success, 1 for a failure, 64 for wrong usage, 69 when the
// spool is in use, 78 for a configuration that is not valid (sysexits.h).
package main

import (
	"errors"
	"fmt"
	"os"

	"mtad/internal/app"
	"mtad/internal/config"

	"github.com/spf13/cobra"
)

// Exit statuses.
const (
	exitFailure = 1
	exitUsage   = 64
	exitBusy    = 69
	exitConfig  = 78
)

func main() {
	app.Launch()
	os.Exit(run())
}

func run() int {
	root := rootCommand()
	err := root.Execute()
	if err == nil {
		return 0
	}
	report(err)
	return status(err)
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "mtad",
		Short:         "A mail transfer agent whose queue is an API",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Help()
			return usage(errors.New("a verb is needed"))
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	root.AddCommand(runCommand(), checkCommand(), demoCommand(), passwordCommand(), versionCommand(), configCommand(), manCommand())
	return root
}

// usageError is a command line that makes no sense.
type usageError struct{ error }

func usage(err error) error { return usageError{err} }

// args makes cobra's complaint about arguments a usage error.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, a []string) error {
		if err := check(cmd, a); err != nil {
			return usage(err)
		}
		return nil
	}
}

// report writes an error for people: problems of the configuration one a line.
func report(err error) {
	if ps, ok := errors.AsType[config.Problems](err); ok {
		for _, p := range ps {
			fmt.Fprintln(os.Stderr, p.Error())
			if p.Hint != "" {
				fmt.Fprintln(os.Stderr, "  hint: "+p.Hint)
			}
		}
		return
	}
	fmt.Fprintln(os.Stderr, "mtad: error: "+err.Error())
	if _, ok := errors.AsType[usageError](err); ok {
		fmt.Fprintln(os.Stderr, "mtad: hint: see 'mtad --help'")
	}
}

func status(err error) int {
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	if _, ok := errors.AsType[config.Problems](err); ok || errors.Is(err, app.ErrConfig) {
		return exitConfig
	}
	if errors.Is(err, app.ErrSpoolBusy) {
		return exitBusy
	}
	return exitFailure
}
