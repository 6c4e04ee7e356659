package smtpclient

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// canned is a peer that says what it says, whatever it hears.
type canned struct {
	net.Conn
	says  io.Reader
	hears bytes.Buffer
}

func (c *canned) Read(p []byte) (int, error)       { return c.says.Read(p) }
func (c *canned) Write(p []byte) (int, error)      { return c.hears.Write(p) }
func (c *canned) Close() error                     { return nil }
func (c *canned) SetDeadline(time.Time) error      { return nil }
func (c *canned) SetReadDeadline(time.Time) error  { return nil }
func (c *canned) SetWriteDeadline(time.Time) error { return nil }

// Whatever a peer says: nobody counts as delivered to before the whole message
// went out, everybody has a result, and a connection that had an error is of no
// more use.
func FuzzSession(f *testing.F) {
	hello := "220 hi\r\n250-hop\r\n250-PIPELINING\r\n250 SIZE 100\r\n"
	for _, s := range []string{
		"", "220 hi\r\n", hello, hello + "250 a\r\n250 b\r\n550 c\r\n354 d\r\n250 e\r\n", hello + "250 a\r\n250 b\r\n421 c\r\n",
		"220 hi\r\n500 what\r\n250 ok\r\n250 a\r\n250 b\r\n250 c\r\n354 d\r\n250 e\r\n550 f\r\n",
		hello + "250 a\r\n250 b\r\n250 c\r\n250 d\r\n250 e\r\n", hello + "354 go\r\n354 go\r\n354 go\r\n354 go\r\n354 go\r\n",
		"220 hi\r\n250 STARTTLS\r\n220 go\r\n",
	} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, says string, lmtp bool) {
		conn := &canned{says: strings.NewReader(says)}
		c, err := Open(context.Background(), conn, Options{Hostname: "client.test", LMTP: lmtp, TLS: TLSNone})
		if err != nil {
			return
		}
		for range 2 {
			conn.hears.Reset()
			out := send(c, message(mail, "a@x.test", "b@x.test"), mail)
			complete := strings.HasSuffix(conn.hears.String(), "\r\n"+mail+".\r\n")
			for _, r := range out.Results {
				if r.Stage == "" || r.Reply.IsZero() && out.Err == nil {
					t.Fatalf("no result: %s", show(out))
				}
				if r.Reply.Positive() && !(complete && out.Sent && r.Stage == StageEnd) {
					t.Fatalf("delivered without content: %s after %q", show(out), conn.hears.String())
				}
			}
			if out.Err != nil && c.Usable() {
				t.Fatalf("usable after %v", out.Err)
			}
		}
	})
}
