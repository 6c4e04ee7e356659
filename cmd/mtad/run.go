package main

import (
	"errors"
	"fmt"
	"os"

	"mtad/internal/app"
	"mtad/internal/config"

	"github.com/spf13/cobra"
)

func runCommand() *cobra.Command {
	var file, profiles string
	c := &cobra.Command{
		Use:   "run -c FILE",
		Short: "Serve until SIGTERM or SIGINT; SIGHUP reads the file again",
		Long: "Run serves what the file says until SIGTERM or SIGINT, which let sessions and\n" +
			"deliveries come to their end within shutdown.grace; a second signal ends at once.\n" +
			"SIGHUP reads the file again: one with errors changes nothing. Without -c it is\n" +
			"an empty file: a loopback system on unprivileged ports.",
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load(file)
			if err != nil {
				return err
			}
			if profiles != "" {
				if err := servePprof(profiles); err != nil {
					return err
				}
			}
			boundMalloc()
			return app.Run(cmd.Context(), cfg, app.Options{Version: version(), Log: os.Stderr})
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "the configuration `file`")
	c.Flags().StringVar(&profiles, "pprof", "", "serve profiles of the process at this loopback `address`")
	return c
}

func checkCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "check -c FILE",
		Short: "Say what is wrong with a configuration file",
		Long: "Check reads the file as run does and prints every fault as\n" +
			"file:line:column: message, with a hint where there is one. It starts nothing.\n" +
			"Exit status: 0 when the file is good, 78 when it is not.",
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return usage(errors.New("-c FILE is needed"))
			}
			cfg, err := load(file)
			if err != nil {
				return err
			}
			if err := app.Check(cfg); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: good\n", file)
			return nil
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "the configuration `file`")
	return c
}

// load reads the file; no file is an empty one.
func load(file string) (*config.Config, error) {
	if file == "" {
		return config.Default(), nil
	}
	cfg, err := config.Load(file)
	if _, ok := errors.AsType[config.Problems](err); err != nil && !ok {
		return nil, fmt.Errorf("%w: %w", app.ErrConfig, err)
	}
	return cfg, err
}
