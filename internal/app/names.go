package app

import (
	"context"
	"net/netip"
	"time"

	"mtad/internal/mxlookup"
)

// nameTime bounds how long a client may be kept waiting for its own name.
const nameTime = 5 * time.Second

// clientName finds the name of a client for trace fields, logs and filters. A
// client of this machine has none to be asked for.
func clientName(dns *mxlookup.Resolver) func(context.Context, netip.Addr) string {
	return func(ctx context.Context, addr netip.Addr) string {
		if addr.IsLoopback() {
			return ""
		}
		ctx, cancel := context.WithTimeout(ctx, nameTime)
		defer cancel()
		return dns.Name(ctx, addr)
	}
}
