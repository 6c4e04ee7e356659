package telemetry

import (
	"fmt"
	"io"
	"log/slog"
)

// Log is a logger whose level can be changed while it is in use.
type Log struct {
	*slog.Logger
	level *slog.LevelVar
}

// NewLog writes to w in format "text" or "json". Lines below level ("debug",
// "info", "warn", "error") are left out.
func NewLog(w io.Writer, format, level string) (*Log, error) {
	l := &Log{level: new(slog.LevelVar)}
	if err := l.SetLevel(level); err != nil {
		return nil, err
	}
	o := &slog.HandlerOptions{Level: l.level}
	switch format {
	case "text":
		l.Logger = slog.New(slog.NewTextHandler(w, o))
	case "json":
		l.Logger = slog.New(slog.NewJSONHandler(w, o))
	default:
		return nil, fmt.Errorf("telemetry: no log format %q", format)
	}
	return l, nil
}

// SetLevel changes the level. Safe for concurrent use.
func (l *Log) SetLevel(level string) error {
	var v slog.Level
	if err := v.UnmarshalText([]byte(level)); err != nil {
		return fmt.Errorf("telemetry: no log level %q", level)
	}
	l.level.Set(v)
	return nil
}
