package dbtest

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"mtad/internal/sqldb"
)

// Valve stands between a client and an Engine's socket.
type Valve struct {
	DSN  string
	shut chan struct{}
	once sync.Once
}

// NewValve opens one.
func NewValve(t testing.TB, e *Engine) *Valve {
	t.Helper()
	const socket = ".s.PGSQL.5432"
	dir, err := os.MkdirTemp("", "dv")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	v := &Valve{shut: make(chan struct{})}
	var behind string
	if e.Driver == sqldb.Postgres {
		behind = strings.TrimPrefix(strings.Fields(e.DSN)[0], "host=")
		v.DSN = strings.Replace(e.DSN, behind, dir, 1)
		behind = filepath.Join(behind, socket)
	} else {
		_, rest, _ := strings.Cut(e.DSN, "(")
		behind, _, _ = strings.Cut(rest, ")")
		v.DSN = strings.Replace(e.DSN, behind, filepath.Join(dir, socket), 1)
	}
	l, err := net.Listen("unix", filepath.Join(dir, socket))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		v.serve(l, behind)
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return v
}

// Shut lets nothing more through; connections stay, and new ones are taken.
func (v *Valve) Shut() { v.once.Do(func() { close(v.shut) }) }

func (v *Valve) serve(l net.Listener, behind string) {
	var open sync.WaitGroup
	var all []net.Conn
	for {
		front, err := l.Accept()
		if err != nil {
			break
		}
		back, err := net.Dial("unix", behind)
		if err != nil {
			front.Close()
			continue
		}
		all = append(all, front, back)
		open.Go(func() { v.pass(back, front) })
		open.Go(func() { v.pass(front, back) })
	}
	for _, c := range all {
		c.Close()
	}
	open.Wait()
}

func (v *Valve) pass(to io.Writer, from io.Reader) {
	b := make([]byte, 4096)
	for {
		n, err := from.Read(b)
		select {
		case <-v.shut:
			if err != nil {
				return
			}
			continue
		default:
		}
		if _, werr := to.Write(b[:n]); werr != nil || err != nil {
			return
		}
	}
}
