package rsync

import (
	"cmp"
	"maps"
	"slices"
)

// sshPortsOf gives the local ports of a network namespace by which people get in
// over ssh: those on which the host's sshd accepts connections, and those of sessions,
// which a service manager may have accepted in its place. What a session listens
// on, a forward, is another's.
func sshPortsOf(w world, netns uint64, sessions []Session) []uint16 {
	ports := map[uint16]bool{}
	for _, s := range sessions {
		ports[s.Local.Port()] = true
	}
	h := sshHost{w}
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

// SSHPorts lists the ports of this host by which people get in over ssh, as of
// the last second or two; none while no sshd is known.
func (p *Probe) SSHPorts() []uint16 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.sshPorts)
}
