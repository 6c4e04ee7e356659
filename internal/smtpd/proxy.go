package smtpd

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"

	"github.com/pires/go-proxyproto"
)

// Bounds of a PROXY header in octets: a line of version 1 has at most 107, and
// of version 2 go-proxyproto takes 4096 behind the fixed 16.
const (
	maxProxyV1 = 107
	maxProxyV2 = 16 + 4096
)

var (
	errProxy   = errors.New("smtpd: bad PROXY header")
	proxySigV2 = []byte("\r\n\r\n\x00\r\nQUIT\n")
)

// readProxy takes the client's address from the PROXY header, which a listed
// proxy has to send. A LOCAL header keeps the connection's own.
func (s *session) readProxy() bool {
	_ = s.raw.SetReadDeadline(time.Now().Add(s.o.Limits.Handshake))
	s.readBy = time.Time{}
	raw, err := readProxyHeader(s.raw)
	var h *proxyproto.Header
	if err == nil {
		h, err = parseProxyHeader(raw)
	}
	if err != nil {
		s.log.Warn("PROXY header", "listener", s.o.Name, "client_address", s.conv.Client.Address, "error", err)
		s.drop(&byeProxy, "proxy")
		return false
	}
	if h.Command.IsLocal() {
		return true
	}
	src, ok := h.SourceAddr.(*net.TCPAddr)
	if !ok {
		s.drop(&byeProxy, "proxy")
		return false
	}
	s.setPeer(src)
	return true
}

func parseProxyHeader(raw []byte) (*proxyproto.Header, error) {
	return proxyproto.Read(bufio.NewReader(bytes.NewReader(raw)))
}

// readProxyHeader reads a header, octet by octet where its length is not known,
// and nothing of what follows it: that may be a TLS handshake. The library's own
// reader wants a header of version 1 in one segment; this one does not.
func readProxyHeader(r io.Reader) ([]byte, error) {
	head := make([]byte, 16, 64)
	if _, err := io.ReadFull(r, head[:len(proxySigV2)]); err != nil {
		return nil, err
	}
	if bytes.Equal(head[:len(proxySigV2)], proxySigV2) {
		return readProxyV2(r, head)
	}
	head = head[:len(proxySigV2)]
	if !bytes.HasPrefix(head, []byte("PROXY ")) {
		return nil, errProxy
	}
	for !bytes.HasSuffix(head, []byte("\r\n")) {
		if len(head) >= maxProxyV1 {
			return nil, errProxy
		}
		var one [1]byte
		if _, err := io.ReadFull(r, one[:]); err != nil {
			return nil, err
		}
		head = append(head, one[0])
	}
	return head, nil
}

func readProxyV2(r io.Reader, head []byte) ([]byte, error) {
	if _, err := io.ReadFull(r, head[len(proxySigV2):]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(head[14:]))
	if len(head)+n > maxProxyV2 {
		return nil, errProxy
	}
	all := append(head, make([]byte, n)...)
	_, err := io.ReadFull(r, all[len(head):])
	return all, err
}
