package rsync

import (
	"fmt"
	"slices"

	"lifeline/probes/sshd"
	"lifeline/watchdog"
)

// server takes an rsync that the other end started, here by sshd. A program that is
// only named so is one like any other on the way up to it.
func (g *grouping) server(p, root *process) {
	parents := between(g.world, root, g.ofSSHD)
	if slices.ContainsFunc(parents, func(q *process) bool { return q.rsync() && !q.Cmd.Server }) {
		return // the far end of a pipe on this host
	}
	top := root
	if len(parents) > 0 {
		top = parents[len(parents)-1]
	}
	session := g.world.process(top.PPID)
	if session == nil || !g.ofSSHD(session) {
		f := g.add(byPID(root), watchdog.ViaSSHServer, p)
		f.serverSide(root, parents)
		f.lost = "no sshd above it"
		return
	}
	c := g.connection(session)
	id := byPID(root)
	if c.found {
		id = bySocket(c.socket.Inode)
	}
	f := g.add(id, watchdog.ViaSSHServer, p)
	f.serverSide(root, parents)
	if !c.found {
		f.lost = c.why
		return
	}
	f.connect(c.socket)
	for _, q := range c.procs {
		f.holder(g.world, q)
	}
	f.shared = g.carries(c)
}

// serverSide notes what holds for every rsync --server. One that speaks the
// daemon's protocol over ssh hears its role from the client only.
func (f *found) serverSide(root *process, parents []*process) {
	if !root.Cmd.Daemon {
		f.setSends(root.Cmd.Sender)
	}
	for _, q := range parents {
		if !slices.Contains(f.parents, q) {
			f.parents = append(f.parents, q)
		}
	}
}

// connection is one ssh connection at its server.
type connection struct {
	procs  []*process // sshd's processes of it, those that hold the socket
	socket held
	found  bool
	why    string // not found
	many   bool   // it holds further TCP connections
	listen bool   // it listens: a remote forward or X11
}

// connection finds the socket of the ssh connection that a session process of
// sshd belongs to, and the processes that hold it.
func (g *grouping) connection(session *process) connection {
	var c connection
	h := g.world.holds(session)
	tcp, listens := connected(h.sockets)
	if len(tcp) == 0 {
		c.why = fmt.Sprintf("%s (pid %d) holds no TCP connection", session.name(), session.ID.PID)
		if h.err != nil {
			c.why = fmt.Sprintf("the connection of %s (pid %d) may not be looked at: %v", session.name(), session.ID.PID, h.err)
		}
		return c
	}
	real, err := sshd.Accepted(sshHost{g.world}, session.ID.PID)
	if err != nil {
		c.why = fmt.Sprintf("%s (pid %d): %v", session.name(), session.ID.PID, err)
		return c
	}
	c.found, c.listen, c.many = true, listens, len(tcp) > 1
	if monitor := g.world.process(real.Server); monitor != nil && real.Server != session.ID.PID {
		c.procs = append(c.procs, monitor)
	}
	c.procs = append(c.procs, session)
	c.socket = tcp[max(0, slices.IndexFunc(tcp, func(s held) bool { return s.Inode == real.Inode }))]
	return c
}

// ofSSHD says whether a process is a part of the host's sshd.
func (g *grouping) ofSSHD(p *process) bool {
	return isSSHD(p.name()) && sshd.Belongs(sshHost{g.world}, p.ID.PID)
}

// carries says what else than rsync an ssh connection serves, "" for nothing:
// a terminal, a forward, or a session outside the rsync trees. Any of these
// may be a person.
func (g *grouping) carries(c connection) string {
	if c.many || c.listen {
		return "its ssh connection also forwards TCP"
	}
	for _, p := range c.procs {
		if what := g.carriesItself(p); what != "" {
			return what
		}
		for _, child := range g.world.children(p.ID.PID) {
			if child.State == 'Z' || slices.ContainsFunc(c.procs, func(q *process) bool { return q.id() == child.id() }) {
				continue
			}
			if !g.leadsToRsync(child, 0) {
				return fmt.Sprintf("its ssh connection also serves %s (pid %d)", child.name(), child.ID.PID)
			}
		}
	}
	return ""
}

// carriesItself looks at what one process of sshd holds.
func (g *grouping) carriesItself(p *process) string {
	h := g.world.holds(p)
	for _, f := range h.files {
		switch f.Path {
		case "/dev/ptmx", "/dev/pts/ptmx":
			return "its ssh connection also has a terminal"
		case "/dev/net/tun":
			return "its ssh connection also carries a tunnel"
		}
	}
	for _, s := range h.sockets {
		listens := s.Kind == unixListening && !agentSocket(s.Path)
		reaches := s.Kind == unixStream && s.Peer != "" && !systemSocket(s.Peer)
		if listens || reaches {
			return "its ssh connection also forwards a socket"
		}
	}
	return ""
}

// leadsToRsync says whether a process is an rsync server or has one below it.
func (g *grouping) leadsToRsync(p *process, depth int) bool {
	if p.rsync() {
		return p.Cmd.Server
	}
	if depth >= maxDepth {
		return false
	}
	return slices.ContainsFunc(g.world.children(p.ID.PID), func(c *process) bool {
		return g.leadsToRsync(c, depth+1)
	})
}
