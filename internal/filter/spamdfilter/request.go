package spamdfilter

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"

	"mtad/internal/filter/scanner"
)

// exchange is one request to spamd, and its answer.
type exchange struct {
	conn    net.Conn
	r       *bufio.Reader
	release func() bool
}

// Names of the methods on the wire.
const (
	methodSymbols = "SYMBOLS"
	methodHeaders = "HEADERS"
	methodProcess = "PROCESS"
)

// head is the request's head. The names are as spamd wants them: with another
// case it does not know them.
func head(method, user string, length int64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s SPAMC/1.5\r\nContent-length: %d\r\n", method, length)
	if user != "" {
		fmt.Fprintf(&b, "User: %s\r\n", user)
	}
	b.WriteString("\r\n")
	return b.String()
}

// ownError is an error of reading the message, not of the connection.
type ownError struct{ error }

// message reads the message and marks its errors as ours.
type message struct{ r io.Reader }

func (m message) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if err != nil && err != io.EOF {
		err = ownError{err}
	}
	return n, err
}

// ask connects and sends the head and content, which is length octets. The
// connection is half-closed behind it: spamd then knows the end in any case.
func ask(ctx context.Context, a scanner.Address, head string, content io.Reader, length int64) (*exchange, error) {
	c, err := a.Dial(ctx)
	if err != nil {
		return nil, err
	}
	x := &exchange{conn: c, r: bufio.NewReaderSize(c, 16<<10), release: scanner.Bind(ctx, c)}
	if err := x.send(head, content, length); err != nil {
		defer x.close()
		if own, ok := err.(ownError); ok {
			return nil, own.error
		}
		// spamd may have said why it does not want the rest.
		if _, why := readAnswer(x.r); why != nil && !scanner.Gone(why) {
			err = why
		}
		return nil, scanner.Fault(ctx, "spamd went away while the message was sent", err)
	}
	return x, nil
}

func (x *exchange) send(head string, content io.Reader, length int64) error {
	if _, err := io.WriteString(x.conn, head); err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	// Hiding ReadFrom and WriteTo keeps the errors of both sides apart.
	n, err := io.CopyBuffer(struct{ io.Writer }{x.conn}, struct{ io.Reader }{message{content}}, buf)
	if err != nil {
		return err
	}
	if n != length {
		return ownError{fmt.Errorf("the message has %d octets, not %d", n, length)}
	}
	if c, ok := x.conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

func (x *exchange) close() {
	x.release()
	x.conn.Close()
}
