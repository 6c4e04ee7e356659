package app

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"mtad/internal/config"
	"mtad/internal/filter/execfilter"
)

// Launch has to be called before anything else by the main function of a binary
// that runs an App: it is how programs of filters are started.
func Launch() { execfilter.Launch() }

// knownUsers finds programs that nobody could run.
func knownUsers(cfg *config.Config) error {
	for _, name := range slices.Sorted(maps.Keys(cfg.Filters)) {
		f := cfg.Filters[name]
		if f.Kind != config.KindExec || f.Exec.User == "" {
			continue
		}
		if err := execfilter.Known(f.Exec.User); err != nil {
			return fmt.Errorf("%w: filters.%s.exec.user: no user called %q", ErrConfig, name, f.Exec.User)
		}
	}
	return nil
}

func newExec(f config.Exec, log *slog.Logger) (*execfilter.Filter, error) {
	exit := map[int]execfilter.Answer{}
	for _, line := range f.Exit {
		code, answer, err := execfilter.ParseExit(line)
		if err != nil {
			return nil, err
		}
		exit[code] = answer
	}
	return execfilter.New(execfilter.Options{
		Command: f.Command, Exit: exit, Replace: f.Output == config.OutputReplace, Trace: f.Trace,
		User: f.User, AllowRoot: f.AllowRoot, Directory: f.Directory, Environment: f.Environment,
		Limits: execfilter.Limits{
			Memory: int64(f.Memory), CPU: f.CPU, OpenFiles: f.OpenFiles, FileSize: int64(f.FileSize),
			Output: int64(f.OutputSize), Grace: f.KillDelay,
		},
		Logger: log,
	})
}
