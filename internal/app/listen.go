package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
)

// Sockets returns the listeners that systemd passed, by name. It takes them out
// of the environment: call it once in a process.
func Sockets() (map[string][]net.Listener, error) {
	return activation.ListenersWithNames()
}

// listenTCP binds one address. An IPv6 wildcard is IPv6 alone, so that it can
// stand beside an IPv4 one.
func listenTCP(address string) (net.Listener, error) {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("app: listen: %w", err)
	}
	network := "tcp4"
	if a.Addr().Is6() {
		network = "tcp6"
	}
	// Every session has time-outs of its own: probes of the kernel would cost four
	// system calls a connection and find nothing earlier.
	lc := net.ListenConfig{KeepAlive: -1}
	ln, err := lc.Listen(context.Background(), network, address)
	if err != nil {
		return nil, fmt.Errorf("app: %w", err)
	}
	return ln, nil
}

// listenUnix binds a path with a mode. A socket that a dead process left behind
// is taken away; one that somebody answers on is not, and no other file is.
func listenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	if err := clearSocket(path); err != nil {
		return nil, err
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("app: %w", hintLength(err, path))
	}
	if err := os.Chmod(path, mode); err != nil {
		ln.Close()
		return nil, fmt.Errorf("app: %w", err)
	}
	return ln, nil
}

// hintLength explains the error of a path that does not fit into sun_path.
func hintLength(err error, path string) error {
	if errors.Is(err, syscall.EINVAL) && len(path) > 107 {
		return fmt.Errorf("%w: the path has %d octets, a socket's may have 107", err, len(path))
	}
	return err
}

func clearSocket(path string) error {
	fi, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("app: %w", err)
	case fi.Mode()&fs.ModeSocket == 0:
		return fmt.Errorf("app: %s is there and is no socket", path)
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return fmt.Errorf("app: %s: somebody else listens there", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("app: %w", err)
	}
	return nil
}

// fromSystemd takes one passed socket by name.
func fromSystemd(passed map[string][]net.Listener, name string) (net.Listener, error) {
	for full, list := range passed {
		if strings.TrimSuffix(full, ".socket") != strings.TrimSuffix(name, ".socket") || len(list) == 0 {
			continue
		}
		ln := list[0]
		passed[full] = list[1:]
		return ln, nil
	}
	return nil, fmt.Errorf("app: systemd passed no socket called %q (FileDescriptorName=)", name)
}
