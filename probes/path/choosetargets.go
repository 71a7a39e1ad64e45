package path

import (
	"net/netip"
	"slices"
	"time"

	"lifeline/watchdog"
)

const (
	mostTargets    = 6
	mostGateways   = 2 // of which places are kept free: they tell a fault from a queue
	mostRemembered = 8
	rememberFor    = 90 * 24 * time.Hour
)

// Session is a live, authenticated ssh session to this host.
type Session struct {
	Peer  netip.Addr
	Rsync bool // it carries an rsync, so its peer is a backup client
}

// Peer is who managed this host earlier.
type Peer struct {
	Addr netip.Addr `json:"addr"`
	Seen time.Time  `json:"seen"`
}

// targetSources is where targets can be found.
type targetSources struct {
	configured []netip.Addr
	sessions   []Session
	remembered []Peer // newest first
	gateways   []netip.Addr
}

// chosenTarget is a target and how it was found.
type chosenTarget struct {
	addr netip.Addr
	why  watchdog.TargetWhy
}

// chooseTargets picks the targets in order of worth, each once.
func chooseTargets(e targetSources) []chosenTarget {
	gateways := min(len(e.gateways), mostGateways)
	c := chooser{room: mostTargets - gateways}
	for _, a := range e.configured {
		c.add(a, watchdog.TargetConfigured)
	}
	for _, s := range e.sessions {
		if !s.Rsync && !slices.ContainsFunc(e.sessions, func(o Session) bool { return o.Rsync && o.Peer == s.Peer }) {
			c.add(s.Peer, watchdog.TargetSession)
		}
	}
	for _, p := range e.remembered {
		c.add(p.Addr, watchdog.TargetRemembered)
	}
	c.room = mostTargets
	for _, a := range e.gateways[:gateways] {
		c.add(a, watchdog.TargetGateway)
	}
	return c.list
}

type chooser struct {
	room int
	list []chosenTarget
}

func (c *chooser) add(a netip.Addr, why watchdog.TargetWhy) {
	a = a.Unmap()
	if len(c.list) >= c.room || !pingable(a) ||
		slices.ContainsFunc(c.list, func(o chosenTarget) bool { return o.addr == a }) {
		return
	}
	c.list = append(c.list, chosenTarget{addr: a, why: why})
}

// pingable leaves out what is not one other host.
func pingable(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() &&
		a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// rememberPeer puts addr at the head of peers as seen at wall time now, and drops
// who was not seen for long.
func rememberPeer(peers []Peer, addr netip.Addr, now time.Time) []Peer {
	list := []Peer{{Addr: addr, Seen: now}}
	for _, p := range peers {
		if p.Addr != addr && now.Sub(p.Seen) < rememberFor && len(list) < mostRemembered {
			list = append(list, p)
		}
	}
	return list
}
