package config

import (
	"os"
	"path/filepath"
)

// loopback is the listener of a file that names none.
const loopback = "listeners:\n  smtp:\n    address: 127.0.0.1:2525\n"

// derive fills in the defaults that depend on the machine or on other keys.
func (c *Config) derive() {
	if c.Hostname == "" {
		c.Hostname = machineName()
	}
	c.deriveFilters()
	if c.Postmaster == "" {
		c.Postmaster = "postmaster@" + c.Hostname
	}
	c.deriveQuarantine()
	if c.Spool.Directory == "" {
		c.Spool.Directory = stateDirectory()
	}
	if c.LocalDomains == nil {
		c.LocalDomains = []string{c.Hostname}
		if c.Hostname != "localhost" {
			c.LocalDomains = append(c.LocalDomains, "localhost")
		}
	}
	if c.Local.Maildir == "" {
		c.Local.Maildir = filepath.Join(c.Spool.Directory, "mail")
	}
	if c.Submission.Maildrop == "" {
		c.Submission.Maildrop = filepath.Join(c.Spool.Directory, "maildrop")
	}
	if c.API.Unix == "" {
		c.API.Unix = filepath.Join(c.Spool.Directory, "api.sock")
	}
	if _, given := c.positions["submission.allow"]; !given {
		c.Submission.Allow = everyone()
	}
	if _, given := c.positions["listeners"]; !given {
		fallback, _ := parse("", []byte(loopback))
		c.Listeners = fallback.Listeners
	}
}

func machineName() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	if d, err := ParseDomain(name); err == nil {
		return d
	}
	return "localhost"
}

func stateDirectory() string {
	if dir := os.Getenv("STATE_DIRECTORY"); filepath.IsAbs(dir) { // systemd's StateDirectory=
		return filepath.Clean(dir)
	}
	if os.Geteuid() == 0 {
		return "/var/spool/mtad"
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "mtad")
	}
	home, err := os.UserHomeDir()
	if err != nil || !filepath.IsAbs(home) {
		return "/var/spool/mtad"
	}
	return filepath.Join(home, ".local", "state", "mtad")
}
