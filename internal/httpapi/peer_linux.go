package httpapi

import (
	"net"
	"unsafe"

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

// groupsOf asks the kernel for the supplementary groups (SO_PEERGROUPS, Linux 4.13):
// those the process had, whatever the group file says by now. Where the kernel does not know,
// there are none.
func groupsOf(c *net.UnixConn) []int {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	list := make([]uint32, 64)
	ok := false
	control := func(fd uintptr) {
		size := uint32(len(list) * 4)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&list[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == unix.ERANGE && size > uint32(len(list)*4) && size <= maxGroups*4:
			list = make([]uint32, size/4)
		case errno == 0:
			list, ok = list[:min(int(size/4), len(list))], true
		}
	}
	for try := 0; try < 2 && !ok; try++ {
		if raw.Control(control) != nil {
			return nil
		}
	}
	if !ok {
		return nil
	}
	groups := make([]int, len(list))
	for i, g := range list {
		groups[i] = int(g)
	}
	return groups
}

// maxGroups is NGROUPS_MAX.
const maxGroups = 65536
