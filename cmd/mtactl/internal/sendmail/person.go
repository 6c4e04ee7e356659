package sendmail

import (
	"os"
	"os/user"
	"strconv"
	"strings"
)

// Caller is the user who runs this program, by what the system says of him. The
// environment may give another full name (NAME), as everywhere.
func Caller(getenv func(string) string, host string) Person {
	uid := strconv.Itoa(os.Getuid())
	p := Person{Login: "uid" + uid, FullName: getenv("NAME"), Host: host}
	u, err := user.LookupId(uid)
	if err != nil {
		return p
	}
	p.Login = u.Username
	if p.FullName == "" {
		p.FullName = fullName(u.Name, u.Username)
	}
	return p
}

// fullName reads gecos: up to the first comma, & stands for the login name.
func fullName(gecos, login string) string {
	gecos, _, _ = strings.Cut(gecos, ",")
	if login == "" {
		return gecos
	}
	return strings.ReplaceAll(gecos, "&", strings.ToUpper(login[:1])+login[1:])
}
