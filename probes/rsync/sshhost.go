package rsync

import "lifeline/probes/sshd"

// sshHost is a world as package sshd asks about it.
type sshHost struct{ world }

// Identity implements sshd.Host.
func (h sshHost) Identity(pid int) (sshd.Identity, error) {
	p := h.process(pid)
	if p == nil {
		return sshd.Identity{}, sshd.ErrGone
	}
	return h.identity(p)
}

// TCP implements sshd.Host.
func (h sshHost) TCP(pid int) ([]sshd.Socket, error) {
	p := h.process(pid)
	if p == nil {
		return nil, sshd.ErrGone
	}
	holding := h.holds(p)
	var out []sshd.Socket
	for _, s := range holding.sockets {
		if s.Kind == tcpConnected || s.Kind == tcpListening {
			out = append(out, sshd.Socket{Inode: s.Inode, Netns: s.Netns, Listening: s.Kind == tcpListening, Local: s.Local, Remote: s.Remote})
		}
	}
	return out, holding.err
}

// Listeners implements sshd.Host.
func (h sshHost) Listeners() []int {
	var out []int
	for _, p := range h.sshds() {
		if p.State == 'Z' || authenticated(p) {
			continue
		}
		if id, err := h.identity(p); err != nil || !id.Server() {
			continue
		}
		if parent, err := h.Identity(p.PPID); err == nil && parent.Server() {
			continue
		}
		out = append(out, p.ID.PID)
	}
	return out
}
