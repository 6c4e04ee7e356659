package app

import (
	"context"
	"slices"
	"strings"
	"time"

	"mtad/internal/config"
	"mtad/internal/intake"
	"mtad/internal/msa"
	"mtad/internal/smtpd"
	"mtad/queue"
)

// completionRoom is what completed fields may add to the largest message.
const completionRoom = 4 << 10

// submissionDoor makes a listener one of a submission agent. who may be nil:
// then nobody logs in.
func (a *App) submissionDoor(o *smtpd.Options, l config.Listener, who *login) {
	if who != nil {
		who.serve(o)
	}
	o.Receiver = &submitted{
		app: a, who: who, hostname: o.Hostname,
		date: slices.Contains(l.Complete, config.CompleteDate), id: slices.Contains(l.Complete, config.CompleteMessageID),
		sender: slices.Contains(l.Complete, config.CompleteSender),
	}
}

// submitted is the smtpd.Receiver of such a listener.
type submitted struct {
	app              *App
	who              *login
	hostname         string
	date, id, sender bool
}

// Route asks the table.
func (s *submitted) Route(path string) (transport, nextHop string, err error) {
	return s.app.intake.Route(path)
}

// Open begins a message.
func (s *submitted) Open(ctx context.Context, env queue.Envelope, d intake.Door) (smtpd.Message, error) {
	if d.MaxSize > 0 {
		d.MaxSize += completionRoom
	}
	granted, err := s.granted(ctx, env.Client.SASLUser)
	if err != nil {
		return nil, err
	}
	m, err := s.app.intake.Open(ctx, env, d)
	if err != nil {
		return nil, err
	}
	return &completed{Message: m, c: msa.NewCompleter(s.options(&env, m.ID(), granted), m.Write)}, nil
}

// granted asks for the login's senders where header fields are looked at.
func (s *submitted) granted(ctx context.Context, user string) ([]string, error) {
	if s.who == nil || s.who.senders == nil || user == "" || !s.sender && !s.who.section.CheckFrom {
		return nil, nil
	}
	return s.who.senders(ctx, user)
}

func (s *submitted) options(env *queue.Envelope, id queue.ID, granted []string) msa.CompleterOptions {
	o := msa.CompleterOptions{Date: s.date, MessageID: s.id, Now: time.Now(), ID: strings.ToLower(string(id)), Hostname: s.hostname}
	user := env.Client.SASLUser
	if s.who == nil || user == "" {
		return o
	}
	o.Mine = func(address string) bool { return s.who.owners.May(user, address, granted...) }
	if s.sender {
		o.Sender = s.address(user)
	}
	if s.who.section.CheckFrom {
		o.Refuse = func(from []string, readable bool) error { return s.refuse(o.Mine, user, from, readable) }
	}
	return o
}

// address is the mailbox of a login.
func (s *submitted) address(user string) string {
	if strings.Contains(user, "@") {
		return user
	}
	return user + "@" + s.hostname
}

func (s *submitted) refuse(mine func(string) bool, user string, from []string, readable bool) error {
	if !readable {
		return *notOwner("From field", "", user)
	}
	for _, address := range from {
		if !mine(address) {
			return *notOwner("From field", address, user)
		}
	}
	return nil
}

// completed is a message whose header section is completed on its way in.
type completed struct {
	*intake.Message
	c *msa.Completer
}

// Write takes content.
func (m *completed) Write(p []byte) (int, error) { return m.c.Write(p) }

// Close ends the message.
func (m *completed) Close(ctx context.Context) (intake.Result, error) {
	if err := m.c.Close(); err != nil {
		_ = m.Abort()
		return intake.Result{ID: m.ID(), Reply: intake.ReplyOf(err)}, err
	}
	return m.Message.Close(ctx)
}
