//go:build !linux

package mailscanner

import "context"

// watch does nothing here: who waits looks every Options.Poll.
func (b *bridge) watch(ctx context.Context) { <-ctx.Done() }
