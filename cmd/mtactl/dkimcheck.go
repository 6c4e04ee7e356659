package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net"

	"mtad/internal/dkimkey"
)

// checkKey looks up a record and compares it with a key, if there is one.
func (t *tool) checkKey(ctx context.Context, name, server string, public crypto.PublicKey) error {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	list, err := resolver(server).LookupTXT(ctx, name+".")
	var e *net.DNSError
	switch {
	case errors.As(err, &e) && e.IsNotFound:
		return (&exitError{status: exitNoMatch, msg: "no TXT record at " + name}).withHint("publish what 'mtactl dkim keygen' printed; a new record may take a while to be seen")
	case err != nil:
		return &exitError{status: exitTemporary, msg: "the DNS gives no answer for " + name + ": " + err.Error()}
	case len(list) != 1:
		return &exitError{status: exitFailure, msg: fmt.Sprintf("%d TXT records at %s: verifiers want one", len(list), name)}
	}
	err = dkimkey.Usable(list[0])
	if err == nil && public != nil {
		err = dkimkey.Fits(list[0], public)
	}
	if err != nil {
		return &exitError{status: exitFailure, msg: name + ": " + err.Error()}
	}
	if t.output == "json" {
		return t.json(map[string]string{"name": name, "record": list[0]})
	}
	_, err = fmt.Fprintf(t.out, "%s: good\n%s\n", oneLine(name), oneLine(list[0]))
	return wrote(err)
}

// resolver asks one server, or those of this machine.
func resolver(server string) *net.Resolver {
	if server == "" {
		return net.DefaultResolver
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server)
	}}
}
