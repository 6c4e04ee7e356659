package app

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"time"

	"mtad/internal/config"
	"mtad/internal/filter"
	"mtad/internal/filter/hookclient"
	"mtad/internal/filter/mtahooksfilter"
	"mtad/internal/filter/webhookfilter"
)

// newWebhook makes the Kind webhook; its files are read once.
func newWebhook(f config.Filter) (filter.Kind, error) {
	server, err := hookServer(f)
	if err != nil {
		return nil, err
	}
	o := webhookfilter.Options{Server: server}
	if f.Webhook.SignFile != "" {
		if o.Key, err = secretOf(f.Webhook.SignFile); err != nil {
			return nil, err
		}
	}
	return webhookfilter.New(o)
}

// hookTime bounds a scan that the configuration gives no time.
const hookTime = time.Minute

// newMTAHooks makes the Kind mtahooks.
func newMTAHooks(c *config.Config, f config.Filter) (filter.Kind, error) {
	o, err := mtaHooksOptions(c, f)
	if err != nil {
		return nil, err
	}
	return mtahooksfilter.New(o)
}

func mtaHooksOptions(c *config.Config, f config.Filter) (mtahooksfilter.Options, error) {
	server, err := hookServer(f)
	if err != nil {
		return mtahooksfilter.Options{}, err
	}
	o := mtahooksfilter.Options{
		Server: server, Setup: mtahooksfilter.Setup(f.MTAHooks.Setup), Update: f.MTAHooks.Update,
		Name: c.Hostname, Version: "mtad", Timeout: f.Timeout,
	}
	if o.Timeout == 0 {
		o.Timeout = hookTime
	}
	return o, nil
}

// hookServer is the server of a filter that pushes messages.
func hookServer(f config.Filter) (hookclient.Options, error) {
	h, _ := f.Hook()
	o := hookclient.Options{URL: h.URL, Address: f.Address, Plaintext: h.Plaintext, Concurrency: f.Concurrency}
	if h.CAFile != "" {
		var err error
		if o.CA, err = os.ReadFile(h.CAFile); err != nil {
			return o, fmt.Errorf("ca_file: %w", err)
		}
	}
	if h.Auth == config.AuthNone {
		return o, nil
	}
	secret, err := secretOf(h.AuthFile)
	switch {
	case err != nil:
		return o, err
	case h.Auth == config.AuthBasic:
		o.Authorization = "Basic " + base64.StdEncoding.EncodeToString(secret)
	default:
		o.Authorization = "Bearer " + string(secret)
	}
	return o, nil
}

// secretOf reads a file with a secret, which is one line without control
// characters.
func secretOf(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	b = bytes.TrimSpace(b)
	if len(b) == 0 || bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return nil, fmt.Errorf("%s: want one line", path)
	}
	return b, nil
}
