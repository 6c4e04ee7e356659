package app

import (
	"context"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"

	"mtad/api"
	"mtad/internal/config"
	"mtad/internal/httpapi"
	tokenstore "mtad/internal/tokens"

	"crypto/tls"
)

// apiSocketMode lets every local process connect; who may do what is decided by
// the kernel's word on who it is.
const apiSocketMode fs.FileMode = 0o666

// wireAPI makes the HTTP server and binds its sockets.
func (a *App) wireAPI(context.Context) error {
	tokens, peers, err := access(a.cfg)
	if err != nil {
		return err
	}
	if a.door, err = a.newDoor(a.cfg); err != nil {
		return err
	}
	if err := a.wireWebhooks(); err != nil {
		return err
	}
	if a.tokens, err = tokenstore.Open(filepath.Join(a.cfg.Spool.Directory, "tokens.json")); err != nil {
		return fmt.Errorf("app: %w", err)
	}
	a.api, err = httpapi.New(httpapi.Options{
		Queue: a.queue, Filters: &a.filter, Door: a.door, TempDir: a.cfg.Spool.Directory, Stored: a.tokens, Tokens: tokens, Peers: peers,
		Process: httpapi.Process{
			Version: a.version, Hostname: a.cfg.Hostname, Started: a.started,
			Maildrop: a.maildrop, Listeners: a.listeners, Unsafe: func() []string { return slices.Clone(a.spool.unsafe) },
		},
		Webhooks: a.hooks, Route: a.resolve, Postmaster: a.cfg.Postmaster, FilterStates: a.filterStates, Logger: a.log.Logger, Registry: a.reg, Gatherer: a.reg,
	})
	if err != nil {
		return fmt.Errorf("app: %w", err)
	}
	a.down.push("api sockets", func(context.Context) error {
		for _, l := range a.apiListeners {
			_ = l.Close()
		}
		return nil
	})
	return a.bindAPI()
}

func (a *App) bindAPI() error {
	tlsConfig, err := a.certs.plain(a.cfg.API.TLS)
	if err != nil {
		return err
	}
	for i, address := range a.cfg.API.Listen {
		ln, err := listenTCP(address)
		if err != nil {
			return fmt.Errorf("api: %w", err)
		}
		if tlsConfig != nil {
			ln = tls.NewListener(ln, tlsConfig)
		}
		name := "api"
		if i > 0 {
			name = fmt.Sprintf("api.%d", i)
		}
		a.apiListeners = append(a.apiListeners, bound{name, tlsConfig != nil, ln})
	}
	if a.cfg.API.Unix == "none" {
		return nil
	}
	ln, err := listenUnix(a.cfg.API.Unix, apiSocketMode)
	if err != nil {
		return fmt.Errorf("api: %w", err)
	}
	a.apiListeners = append(a.apiListeners, bound{"api.unix", false, ln})
	return nil
}

func (a *App) startAPI() {
	kept := startWorker(a.watch("tokens", func(ctx context.Context) error { return a.tokens.Run(ctx, a.log.Logger) }))
	a.down.push("tokens", kept.end)
	var listeners []net.Listener
	for _, l := range a.apiListeners {
		listeners = append(listeners, l.Listener)
	}
	if len(listeners) == 0 {
		return
	}
	w := startWorker(a.watch("api", func(ctx context.Context) error { return a.api.Run(ctx, listeners...) }))
	a.down.push("api", w.end)
}

// access are the tokens and peers of a configuration. The user who runs mtad,
// and root, may do everything on the unix socket.
func access(c *config.Config) ([]httpapi.Token, []httpapi.Peer, error) {
	var tokens []httpapi.Token
	for _, name := range slices.Sorted(maps.Keys(c.API.Tokens)) {
		t := c.API.Tokens[name]
		token := httpapi.Token{Name: name, Scopes: t.Scopes, Submit: grant(c, t.Submit)}
		token.Submit.From = true
		if _, err := hex.Decode(token.Hash[:], []byte(t.SHA256)); err != nil {
			return nil, nil, fmt.Errorf("%w: token %s: %w", ErrConfig, name, err)
		}
		if t.Expires != "" {
			var err error
			if token.Expires, err = config.ParseTime(t.Expires); err != nil {
				return nil, nil, fmt.Errorf("%w: token %s: %w", ErrConfig, name, err)
			}
		}
		tokens = append(tokens, token)
	}
	peers := []httpapi.Peer{{Name: "root", UID: 0, GID: -1, Scopes: httpapi.AllScopes()}}
	if uid := os.Geteuid(); uid != 0 {
		peers = append(peers, httpapi.Peer{UID: uid, GID: -1, Scopes: httpapi.AllScopes()})
	}
	for _, p := range c.API.Peers {
		peers = append(peers, httpapi.Peer{UID: orAny(p.UID), GID: orAny(p.GID), Scopes: p.Scopes})
	}
	return tokens, peers, nil
}

func orAny(id *int) int {
	if id == nil {
		return -1
	}
	return *id
}

// listeners are the doors as /v1/status shows them.
func (a *App) listeners() []api.Listener {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []api.Listener
	for _, name := range slices.Sorted(maps.Keys(a.doors)) {
		out = append(out, api.Listener{
			Name: name, Protocol: a.cfg.Listeners[name].Kind, Address: a.doors[name].socket.Addr().String(),
			TLS: a.cfg.ListenerTLS(name).Certificate != "",
		})
	}
	for _, l := range a.apiListeners {
		out = append(out, api.Listener{Name: l.name, Protocol: "http", Address: l.Addr().String(), TLS: l.tls})
	}
	return out
}
