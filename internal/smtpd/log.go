package smtpd

import (
	"context"
	"log/slog"
	"time"

	"mtad/internal/intake"
)

// logMessage is the one line of a message that reached its end here.
func (s *session) logMessage(res *intake.Result, size int64, err error) {
	env := &s.tx.env
	level, text := slog.LevelInfo, "accepted"
	if !res.Committed {
		text = "refused"
	}
	if err != nil {
		level = slog.LevelWarn
	}
	if err == errHungUp { // it was told nothing
		level, text = slog.LevelInfo, "client gone"
	}
	if !s.log.Enabled(s.ctx, level) {
		return
	}
	s.log.LogAttrs(context.Background(), level, text,
		slog.String("queue_id", string(res.ID)),
		slog.String("listener", s.o.Name),
		slog.String("client_address", env.Client.Address),
		slog.String("helo", env.Client.Helo),
		slog.String("protocol", env.Client.Protocol),
		slog.String("reverse_path", env.ReversePath),
		slog.Int("recipients", len(env.Recipients)),
		slog.Int64("size", size),
		slog.Duration("took", time.Since(s.body.since)),
		slog.String("reply", res.Reply.String()))
}

// logRefused is the line of content that did not get to its end.
func (s *session) logRefused() {
	b := &s.body
	attrs := []slog.Attr{
		slog.String("queue_id", string(b.id)), // "" where intake did not begin with it
		slog.String("listener", s.o.Name),
		slog.String("client_address", s.tx.env.Client.Address),
		slog.String("reverse_path", s.tx.env.ReversePath),
		slog.Int("recipients", len(s.tx.env.Recipients)),
		slog.Int64("octets", b.octets),
		slog.String("reply", b.reply.String()),
	}
	if b.fault != noFault {
		attrs = append(attrs, slog.String("fault", faultNames[b.fault]))
	}
	if b.err != nil {
		attrs = append(attrs, slog.Any("error", b.err))
	}
	s.log.LogAttrs(context.Background(), slog.LevelInfo, "content refused", attrs...)
}

// logLost is the line of a message whose client went away, or was sent away,
// within it.
func (s *session) logLost() {
	s.log.LogAttrs(context.Background(), slog.LevelInfo, "content not complete",
		slog.String("queue_id", string(s.body.id)),
		slog.String("listener", s.o.Name),
		slog.String("client_address", s.tx.env.Client.Address),
		slog.String("reverse_path", s.tx.env.ReversePath),
		slog.Int("recipients", len(s.tx.env.Recipients)),
		slog.Int64("octets", s.body.octets),
		slog.String("reason", s.reason))
}

// refused is the line of a recipient that was turned away.
func (s *session) refused(reason, path, reply string) {
	s.srv.metrics.refuse(reason)
	s.log.LogAttrs(context.Background(), slog.LevelInfo, "recipient refused",
		slog.String("listener", s.o.Name),
		slog.String("client_address", s.conv.Client.Address),
		slog.String("reverse_path", s.tx.env.ReversePath),
		slog.String("recipient", path),
		slog.String("reason", reason),
		slog.String("reply", reply))
}

// logEnd is the line of a session that is over.
func (s *session) logEnd() {
	s.log.LogAttrs(context.Background(), slog.LevelInfo, "session ended",
		slog.String("listener", s.o.Name),
		slog.String("client_address", s.conv.Client.Address),
		slog.String("helo", s.conv.Client.Helo),
		slog.String("reason", s.reason),
		slog.Int("messages", s.taken),
		slog.Int("errors", s.errors),
		slog.Duration("took", time.Since(s.start)))
}
