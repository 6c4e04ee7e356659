package app_test

import (
	"fmt"
	"strings"
	"testing"

	"mtad/queue"
)

// A next hop that is this very mtad is a loop, found before a connection is
// made.
func TestDeliveryToOurselvesFailsAndIsReported(t *testing.T) {
	own := freePort(t)
	a, _ := start(t, read(t, t.TempDir(), fmt.Sprintf(`
listeners:
  smtp: {address: "%[1]s"}
api: {listen: []}
routes: [{match: example.net, next_hop: "[127.0.0.1]:%[2]s"}]
`, own, own[strings.LastIndexByte(own, ':')+1:])))
	_, id := dial(t, own).send(250, "alice@mx.test", "b@example.net", message)
	it := finished(t, a.Queue(), queue.ID(id))
	if r := it.Envelope.Recipients[0]; r.Status != queue.Failed || !strings.Contains(r.LastReply, "5.4.6") {
		t.Errorf("got %s, %q; want failed with 5.4.6", r.Status, r.LastReply)
	}
}
