package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"mtad/internal/app"
	"mtad/internal/config"
)

// limit is how long the whole demo may take; it needs a few seconds.
const limit = time.Minute

// Run plays the demo and writes what happens to w. It returns an error when a
// message did not end as it should.
func Run(ctx context.Context, w io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	dir, err := os.MkdirTemp("", "mtad-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s := &show{printer: &printer{w: w}, dir: dir, token: "mtad_demo-" + rand.Text(), letters: letters()}
	if s.hop, err = startNextHop("carol@example.net", s.delivering); err != nil {
		return err
	}
	defer s.hop.stop()
	if err := s.start(ctx); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			fmt.Fprintf(w, "\nThe log of mtad:\n%s", s.log.Bytes())
		}
	}()
	return errors.Join(s.play(ctx), s.stop())
}

// show is one performance.
type show struct {
	*printer
	dir, token string
	letters    []*letter
	hop        *nextHop
	app        *app.App
	log        bytes.Buffer // read only after stop
	begun      time.Time
}

const configText = `hostname: mx.example
spool: {directory: %q, allow_volatile: true, ballast: 0, free_floor: 1M}
listeners: {smtp: {address: "127.0.0.1:0", chain: scan}}
smarthost: "[127.0.0.1]:%s"
filters: {words: {kind: pull}}
chains: {scan: {filters: [words], timing: after}}
api:
  listen: ["127.0.0.1:0"]
  unix: none
  tokens: {scanner: {sha256: %q, scopes: ["filter:words"]}}
delivery: {min_backoff: 1s, max_backoff: 2s, tls: none}
shutdown: {grace: 5s}
`

// start brings up mtad from a configuration text, as from a file.
func (s *show) start(ctx context.Context) error {
	hash := sha256.Sum256([]byte(s.token))
	text := fmt.Sprintf(configText, filepath.Join(s.dir, "spool"), s.hop.addr[len("127.0.0.1:"):], hex.EncodeToString(hash[:]))
	cfg, err := config.Parse(filepath.Join(s.dir, "mtad.yaml"), []byte(text))
	if err != nil {
		return err
	}
	if s.app, err = app.New(ctx, cfg, app.Options{Version: "demo", Log: &s.log}); err != nil {
		return err
	}
	s.app.Start()
	s.begun = time.Now()
	fmt.Fprintln(s.w, "mtad demo: one process, loopback ports, a temporary spool.")
	s.chapter("What runs")
	s.line("mtad      SMTP on %s, API on http://%s", s.app.Addr("smtp"), s.app.Addr("api"))
	s.line("next hop  %s, an MTA to which mtad relays everything", s.hop.addr)
	s.line("scanner   not yet: nobody judges what comes in")
	return nil
}

func (s *show) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return s.app.Stop(ctx)
}
