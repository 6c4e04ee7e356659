package execfilter

import (
	"errors"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// identity is who a program runs as.
type identity struct {
	uid        int
	credential *syscall.Credential // nil: as mtad does
}

// identityOf looks a user up, by name or number, with all its groups.
func identityOf(name string) (identity, error) {
	self := identity{uid: os.Geteuid()}
	if name == "" {
		return self, nil
	}
	u, err := lookup(name)
	if err != nil {
		return self, err
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return self, err
	}
	if int(uid) == os.Geteuid() && os.Geteuid() != 0 {
		return self, nil
	}
	if os.Geteuid() != 0 {
		return self, errors.New("mtad has to be root to run programs as somebody else")
	}
	c := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	groups, err := u.GroupIds()
	if err != nil {
		return self, err
	}
	for _, g := range groups {
		n, err := strconv.ParseUint(g, 10, 32)
		if err != nil {
			return self, err
		}
		c.Groups = append(c.Groups, uint32(n))
	}
	return identity{uid: int(uid), credential: c}, nil
}

// Known returns an error when there is no user of this name or number.
func Known(name string) error {
	_, err := lookup(name)
	return err
}

func lookup(name string) (*user.User, error) {
	u, err := user.Lookup(name)
	if err == nil {
		return u, nil
	}
	if _, bad := strconv.ParseUint(name, 10, 32); bad != nil {
		return nil, err
	}
	return user.LookupId(name)
}
