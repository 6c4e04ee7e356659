package config

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

func (k *checker) listeners() {
	k.certificate("tls", k.TLS)
	chains := slices.Sorted(maps.Keys(k.Chains))
	for _, name := range slices.Sorted(maps.Keys(k.Listeners)) {
		l, key := k.Listeners[name], "listeners."+name
		given := 0
		for _, s := range []string{l.Address, l.Unix, l.Systemd} {
			if s != "" {
				given++
			}
		}
		if given != 1 {
			k.add(key, fmt.Sprintf("listener %q has %d places to listen on", name, given), "give exactly one of address, unix and systemd")
		}
		if l.Chain != "" {
			k.known(key+".chain", "chain", l.Chain, chains)
		}
		k.certificate(key+".tls", l.TLS)
		if l.Kind == KindSubmissions && k.ListenerTLS(name).Certificate == "" && len(k.ACME.Hosts) == 0 {
			k.add(key+".kind", "submissions without a certificate", "give tls.certificate and tls.key, or acme.hosts")
		}
	}
	k.reinjections()
	k.overlaps()
}

func (k *checker) certificate(key string, t TLS) {
	if (t.Certificate == "") != (t.Key == "") {
		k.add(key, "a certificate and its key go together", "give both certificate and key, or neither")
	}
}

// ListenerTLS is the certificate of a listener: its own, or the one for all.
func (c *Config) ListenerTLS(name string) TLS {
	if t := c.Listeners[name].TLS; t.Certificate != "" {
		return t
	}
	return c.TLS
}

// place is something that is listened on, and the key that says so.
type place struct {
	key, unix, systemd string
	addr               netip.AddrPort
}

func (k *checker) overlaps() {
	places := k.places()
	for i, b := range places {
		for _, a := range places[:i] {
			if overlap(a, b) {
				k.add(b.key, fmt.Sprintf("%s listens where %s does", b.key, a.key), "give it another address or port")
				break
			}
		}
	}
}

func (k *checker) places() []place {
	var places []place
	for _, name := range slices.Sorted(maps.Keys(k.Listeners)) {
		l, key := k.Listeners[name], "listeners."+name
		switch {
		case l.Address != "":
			places = append(places, place{key: key + ".address", addr: netip.MustParseAddrPort(l.Address)})
		case l.Unix != "":
			places = append(places, place{key: key + ".unix", unix: l.Unix})
		case l.Systemd != "":
			places = append(places, place{key: key + ".systemd", systemd: l.Systemd})
		}
	}
	if len(k.ACME.Hosts) > 0 {
		places = append(places, place{key: "acme.address", addr: netip.MustParseAddrPort(k.ACME.ChallengeAddress())})
	}
	for i, a := range k.API.Listen {
		places = append(places, place{key: fmt.Sprintf("api.listen[%d]", i), addr: netip.MustParseAddrPort(a)})
	}
	if k.API.Unix != "none" {
		places = append(places, place{key: "api.unix", unix: k.API.Unix})
	}
	return places
}

func overlap(a, b place) bool {
	if !a.addr.IsValid() || !b.addr.IsValid() {
		return a.unix != "" && a.unix == b.unix || a.systemd != "" && a.systemd == b.systemd
	}
	x, y := a.addr.Addr(), b.addr.Addr()
	return a.addr.Port() != 0 && a.addr.Port() == b.addr.Port() && x.Is4() == y.Is4() &&
		(x == y || x.IsUnspecified() || y.IsUnspecified())
}
