package scannertest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// Says serves, for Serve, a connection by reading each HTTP request and answering
// all of them with the same octets. It ends the connection after an answer without
// header section, or with Connection: close.
func Says(text string) func(net.Conn) {
	return func(c net.Conn) {
		r := bufio.NewReader(c)
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			if _, err := io.WriteString(c, text); err != nil || !strings.Contains(text, "\r\n\r\n") || strings.Contains(text, "Connection: close") {
				return
			}
		}
	}
}

// Answered is an HTTP answer: status is code and reason, fields are header fields
// without line ends.
func Answered(status, body string, fields ...string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s", status, len(body), strings.Join(append(fields, ""), "\r\n"), body)
}

// Endless answers one request, for Serve, with front, which ends within the header
// section, and then piece again and again until the client has had enough.
func Endless(front, piece string) func(net.Conn) {
	return func(c net.Conn) {
		Says(front + "Connection: close\r\n")(c)
		for err := error(nil); err == nil; {
			_, err = io.WriteString(c, piece)
		}
	}
}

// Bomb is 100 MB of zeros in gzip.
func Bomb() string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	for range 100 {
		_, _ = z.Write(make([]byte, 1<<20))
	}
	z.Close()
	return b.String()
}
