package preboot

import (
	"net/netip"
	"slices"
	"time"

	"lifeline/probes/iptables"
)

// machine is what this host is asked about itself.
type machine interface {
	// describe tells links, addresses, routes, and what of them is not
	// modelled.
	describe() (description, error)
	// sessions lists the ssh sessions that people have, and the local ports
	// that they use.
	sessions() (list []session, ports []uint16, err error)
	// sshd tells where sshd listens, an unspecified address standing for all of
	// its family, and how that is known; nothing where nothing is configured.
	sshd() (listens []netip.AddrPort, how string)
	// backend is the one that this host's iptables-restore belongs to.
	backend() (b iptables.Backend, how string)
	// names are the host's name tables.
	names() iptables.Names
}

// description is this machine, as far as the question goes.
type description struct {
	host iptables.Host
	// passing are addresses that may not return after a reboot: temporary
	// IPv6 addresses, link-local ones.
	passing map[netip.Addr]bool
	// caveats are properties that nothing here models, by link, or by link
	// and "/6" where they concern IPv6 only; "" stands for all links.
	caveats map[string][]iptables.Assumption
}

// Names of the caveats that a rehearsal can settle.
const (
	byAdvertisement = "router-advertisement"
	byDHCP          = "dhcpv6"
)

// session is one ssh session of a person: no rsync runs in it.
type session struct {
	Src   netip.Addr `json:"src"`
	Local netip.Addr `json:"local"`
}

// sighting is a session as it is remembered.
type sighting struct {
	session
	LastSeen time.Time `json:"last_seen"`
}

const (
	// freshFor is how long a remembered source is asked about together with
	// the present ones.
	freshFor = 7 * 24 * time.Hour
	// keptFor is how long a source is remembered at all.
	keptFor = 90 * 24 * time.Hour
	// maxSightings bounds the memory.
	maxSightings = 256
)

// remember merges what is seen now into what was seen before.
func remember(old []sighting, now []session, at time.Time) []sighting {
	merged := map[session]time.Time{}
	for _, s := range old {
		if at.Sub(s.LastSeen) < keptFor && s.LastSeen.After(merged[s.session]) {
			merged[s.session] = s.LastSeen
		}
	}
	for _, s := range now {
		merged[s] = at
	}
	var out []sighting
	for s, t := range merged {
		out = append(out, sighting{s, t})
	}
	slices.SortFunc(out, func(a, b sighting) int {
		if c := b.LastSeen.Compare(a.LastSeen); c != 0 {
			return c
		}
		return a.Src.Compare(b.Src)
	})
	return out[:min(len(out), maxSightings)]
}

// relevant picks what to ask about: sources that are present or were lately;
// older ones only where there is nothing else.
func relevant(all []sighting, at time.Time) []sighting {
	var fresh []sighting
	for _, s := range all {
		if at.Sub(s.LastSeen) < freshFor {
			fresh = append(fresh, s)
		}
	}
	if len(fresh) > 0 {
		return fresh
	}
	return all
}
