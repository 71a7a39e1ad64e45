package rsync

import (
	"cmp"
	"maps"
	"slices"
)

// sshPortsOf gives the local ports of a network namespace by which people get in
// over ssh: those on which an sshd accepts connections, and those of sessions,
// which a service manager may have accepted in its place. What a session listens
// on, a forward, is another's.
func sshPortsOf(w world, sshds []*process, netns uint64, sessions []Session) []uint16 {
	ports := map[uint16]bool{}
	for _, s := range sessions {
		ports[s.Local.Port()] = true
	}
	for _, p := range sshds {
		if parent := w.process(p.PPID); p.State == 'Z' || parent != nil && isSSHD(parent.name()) || authenticated(p) {
			continue
		}
		for _, s := range w.holds(p).sockets {
			if s.Kind == tcpListening && cmp.Or(s.Netns, netns) == netns {
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
