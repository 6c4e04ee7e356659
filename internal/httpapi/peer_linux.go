package httpapi

import (
	"net"

	"golang.org/x/sys/unix"
)

// peerOf asks the kernel who connected (SO_PEERCRED, unix(7)).
func peerOf(c *net.UnixConn) (credentials, bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return credentials{}, false
	}
	var cred *unix.Ucred
	var got error
	err = raw.Control(func(fd uintptr) {
		cred, got = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err != nil || got != nil || cred == nil {
		return credentials{}, false
	}
	return credentials{uid: int(cred.Uid), gid: int(cred.Gid)}, true
}
