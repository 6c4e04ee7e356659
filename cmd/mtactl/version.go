package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (t *tool) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of mtactl",
		Long: "Print the version of mtactl. 'mtactl status' has mtad's.",
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			v := version()
			if t.output == "json" {
				return t.json(map[string]string{"version": v})
			}
			_, err := fmt.Fprintln(t.out, "mtactl", v)
			return wrote(err)
		},
	}
}

// version is that of the module, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return "devel " + s.Value[:min(12, len(s.Value))]
		}
	}
	return "devel"
}
