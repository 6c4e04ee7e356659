package mxlookup

import (
	"net"
	"os"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// maxServers bounds how many servers one question goes to in a round.
const maxServers = 4

// recheck is how often resolv.conf is looked at.
const recheck = 5 * time.Second

// servers is the list of whom to ask.
type servers struct {
	fixed []string
	file  string

	mu      sync.Mutex
	checked time.Time
	changed time.Time
	list    []string
}

func (s *servers) get(now time.Time) []string {
	if len(s.fixed) > 0 {
		return s.fixed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.list == nil || now.Sub(s.checked) >= recheck {
		s.checked = now
		s.reload()
	}
	return s.list
}

// reload keeps the old list when the file cannot be read.
func (s *servers) reload() {
	info, err := os.Stat(s.file)
	if err == nil && s.list != nil && info.ModTime().Equal(s.changed) {
		return
	}
	conf, err := dns.ClientConfigFromFile(s.file)
	if err != nil || len(conf.Servers) == 0 {
		if s.list == nil {
			s.list = []string{"127.0.0.1:53"}
		}
		return
	}
	if info != nil {
		s.changed = info.ModTime()
	}
	s.list = nil
	for _, server := range conf.Servers[:min(len(conf.Servers), maxServers)] {
		s.list = append(s.list, net.JoinHostPort(server, conf.Port))
	}
}
