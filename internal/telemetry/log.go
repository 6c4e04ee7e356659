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
	w     *writer
}

// NewLog writes to w in format "text" or "json". Lines below level ("debug",
// "info", "warn", "error") are left out. Warnings and errors are written at once,
// other lines within 50 ms; Flush writes what waits.
func NewLog(w io.Writer, format, level string) (*Log, error) {
	l := &Log{level: new(slog.LevelVar), w: newWriter(w)}
	if err := l.SetLevel(level); err != nil {
		return nil, err
	}
	o := &slog.HandlerOptions{Level: l.level}
	switch format {
	case "text":
		l.Logger = slog.New(prompt{slog.NewTextHandler(l.w, o), l.w})
	case "json":
		l.Logger = slog.New(prompt{slog.NewJSONHandler(l.w, o), l.w})
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

// Flush writes the lines that wait. Call it before the process ends.
func (l *Log) Flush() { l.w.Flush() }
