package discovery

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"lifeline/probes/rsync/proctable"
)

// Session is a live, authenticated ssh session on this host that carries no
// rsync: somebody manages the host over it.
type Session struct {
	Peer  netip.Addr
	Local netip.AddrPort
	Since time.Time // when sshd's process of it was started

	Authenticated bool // always true: one that is not is no session yet
}

// sshPorts gives the local ports of a network namespace by which people get in
// over ssh: those on which the host's sshd accepts connections, and those of sessions,
// which a service manager may have accepted in its place. What a session listens
// on, a forward, is another's.
func sshPorts(t *proctable.Table, netns uint64, sessions []Session) []uint16 {
	ports := map[uint16]bool{}
	for _, s := range sessions {
		ports[s.Local.Port()] = true
	}
	h := proctable.SSHHost{Table: t}
	for _, pid := range h.Listeners() {
		sockets, _ := h.TCP(pid) // those that may not be looked at cannot be known
		for _, s := range sockets {
			if s.Listening && cmp.Or(s.Netns, netns) == netns {
				ports[s.Local.Port()] = true
			}
		}
	}
	delete(ports, 0)
	return slices.Sorted(maps.Keys(ports))
}
