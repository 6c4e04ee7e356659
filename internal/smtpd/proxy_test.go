package smtpd

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/pires/go-proxyproto"

	"mtad/internal/intake"
)

func behindProxy(o *Options, _ *intake.Options) { o.Proxy = loopback }

func proxyV2(t testing.TB, src, dst string) string {
	t.Helper()
	s, err1 := net.ResolveTCPAddr("tcp", src)
	d, err2 := net.ResolveTCPAddr("tcp", dst)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	h := proxyproto.HeaderProxyFromAddrs(2, s, d)
	b, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPROXYHeaderGivesTheClient(t *testing.T) {
	for name, c := range map[string]struct{ header, address string }{
		"v1 IPv4":    {"PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n", "192.0.2.7"},
		"v1 IPv6":    {"PROXY TCP6 2001:db8::7 2001:db8::1 4711 25\r\n", "2001:db8::7"},
		"v1 UNKNOWN": {"PROXY UNKNOWN\r\n", "127.0.0.1"},
		"v2 IPv4":    {proxyV2(t, "192.0.2.7:4711", "192.0.2.1:25"), "192.0.2.7"},
		"v2 IPv6":    {proxyV2(t, "[2001:db8::7]:4711", "[2001:db8::1]:25"), "2001:db8::7"},
		"v2 LOCAL":   {"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00", "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			d := openDoor(t, behindProxy)
			p := d.dial()
			for _, b := range []byte(c.header) { // in pieces
				p.send(string([]byte{b}))
			}
			p.talk("< 220\n> EHLO x\n< 250\n" + toUs + "> DATA\n< 354\n> .\n< 250")
			if got := d.wantMessages(1)[0].Envelope.Client.Address; got != c.address {
				t.Errorf("address %s, want %s", got, c.address)
			}
		})
	}
}

func TestBadPROXYHeadersEndTheConnection(t *testing.T) {
	for name, header := range map[string]string{
		"none":               "EHLO client.example\r\n",
		"v1 endless":         "PROXY TCP4 " + strings.Repeat("1", 200),
		"v1 zone":            "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
		"v1 bad address":     "PROXY TCP4 example 192.0.2.1 1 2\r\n",
		"v1 bad port":        "PROXY TCP4 192.0.2.7 192.0.2.1 65536 2\r\n",
		"v1 bare LF":         "PROXY TCP4 192.0.2.7 192.0.2.1 1 2\n" + strings.Repeat("x", 100),
		"v2 too long":        "\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff",
		"v2 short addresses": "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x02ab",
		"v2 bad version":     "\r\n\r\n\x00\r\nQUIT\n\x31\x11\x00\x00",
		"v2 unix":            "\r\n\r\n\x00\r\nQUIT\n\x21\x31\x00\xd8" + strings.Repeat("\x00", 216),
	} {
		t.Run(name, func(t *testing.T) {
			p := openDoor(t, behindProxy).dial()
			p.send(header)
			p.want("421 4.3.0")
			p.wantEnd()
		})
	}
}

func TestPROXYHeaderFromAStrangerIsEarlyTalk(t *testing.T) {
	d := openDoor(t, patient)
	p := d.dial()
	p.send("PROXY TCP4 10.0.0.1 192.0.2.1 4711 25\r\n")
	p.want("554 5.5.0")
	p.wantEnd()
}

func TestCommandsBehindThePROXYHeaderAreEarlyTalk(t *testing.T) {
	d := openDoor(t, behindProxy, patient)
	p := d.dial()
	p.send("PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\nEHLO x\r\n")
	p.want("554 5.5.0")
}

func TestPROXYHeaderBeforeImplicitTLS(t *testing.T) {
	d := openDoor(t, behindProxy, withTLS(t), func(o *Options, _ *intake.Options) { o.ImplicitTLS = true })
	p := d.dial()
	p.send("PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n")
	p.secure()
	p.talk("< 220\n> EHLO x\n< 250")
}

// The reader takes no more than its bound, the same from any split of the input,
// and the library never sees more.
func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\nEHLO x\r\n"))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc0\x00\x02\x01\x12\x67\x00\x19rest"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		got, err := readProxyHeader(r)
		if used := len(data) - r.Len(); used > maxProxyV2 || err == nil && !bytes.Equal(got, data[:used]) {
			t.Fatalf("took %d octets, returned %q", used, got)
		}
		again, err2 := readProxyHeader(iotest.OneByteReader(bytes.NewReader(data)))
		if (err == nil) != (err2 == nil) || !bytes.Equal(got, again) && err == nil {
			t.Fatalf("%q %v, octet by octet %q %v", got, err, again, err2)
		}
		if err == nil {
			_, _ = parseProxyHeader(got)
		}
	})
}
