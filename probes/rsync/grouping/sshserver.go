package grouping

import (
	"fmt"
	"slices"

	"lifeline/probes/rsync/proc"
	"lifeline/probes/rsync/proctable"
	"lifeline/probes/rsync/sockets"
	"lifeline/probes/sshd"
	"lifeline/watchdog"
)

// server takes an rsync that the other end started, here by sshd. A program that is
// only named so is one like any other on the way up to it.
func (g *grouper) server(p, root *proc.Process) {
	parents := ancestors(g.table, root, g.ofSSHD)
	if slices.ContainsFunc(parents, func(q *proc.Process) bool { return q.IsRsync() && !q.Cmd.Server }) {
		return // the far end of a pipe on this host
	}
	top := root
	if len(parents) > 0 {
		top = parents[len(parents)-1]
	}
	session := g.table.Process(top.PPID)
	if session == nil || !g.ofSSHD(session) {
		f := g.add(idByPID(root), watchdog.ViaSSHServer, p)
		f.serverSide(root, parents)
		f.noSocket = "no sshd above it"
		return
	}
	c := g.sshConnection(session)
	id := idByPID(root)
	if c.found {
		id = IDBySocket(c.socket.Inode)
	}
	f := g.add(id, watchdog.ViaSSHServer, p)
	f.serverSide(root, parents)
	if !c.found {
		f.noSocket = c.why
		return
	}
	f.connect(c.socket)
	for _, q := range c.procs {
		f.holder(g.table, q)
	}
	f.shared = g.alsoServes(c)
}

// serverSide notes what holds for every rsync --server. One that speaks the
// daemon's protocol over ssh hears its role from the client only.
func (f *Transfer) serverSide(root *proc.Process, parents []*proc.Process) {
	if !root.Cmd.Daemon {
		f.setSends(root.Cmd.Sender)
	}
	for _, q := range parents {
		if !slices.Contains(f.Parents, q) {
			f.Parents = append(f.Parents, q)
		}
	}
}

// sshConnection is one ssh connection at its server.
type sshConnection struct {
	procs   []*proc.Process // sshd's processes of it, those that hold the socket
	socket  sockets.Held
	found   bool
	why     string // not found
	manyTCP bool   // it holds further TCP connections
	listens bool   // it listens: a remote forward or X11
}

// sshConnection finds the socket of the ssh connection that a session process of
// sshd belongs to, and the processes that hold it.
func (g *grouper) sshConnection(session *proc.Process) sshConnection {
	var c sshConnection
	h := g.table.Holds(session)
	tcp, listens := tcpSockets(h.Sockets)
	if len(tcp) == 0 {
		c.why = fmt.Sprintf("%s (pid %d) holds no TCP connection", session.Name(), session.ID.PID)
		if h.Err != nil {
			c.why = fmt.Sprintf("the connection of %s (pid %d) may not be looked at: %v", session.Name(), session.ID.PID, h.Err)
		}
		return c
	}
	real, err := sshd.Accepted(proctable.SSHHost{Table: g.table}, session.ID.PID)
	if err != nil {
		c.why = fmt.Sprintf("%s (pid %d): %v", session.Name(), session.ID.PID, err)
		return c
	}
	c.found, c.listens, c.manyTCP = true, listens, len(tcp) > 1
	if monitor := g.table.Process(real.Server); monitor != nil && real.Server != session.ID.PID {
		c.procs = append(c.procs, monitor)
	}
	c.procs = append(c.procs, session)
	c.socket = tcp[max(0, slices.IndexFunc(tcp, func(s sockets.Held) bool { return s.Inode == real.Inode }))]
	return c
}

// ofSSHD says whether a process is a part of the host's sshd.
func (g *grouper) ofSSHD(p *proc.Process) bool {
	return sshd.Named(p.Name()) && sshd.Belongs(proctable.SSHHost{Table: g.table}, p.ID.PID)
}

// alsoServes says what else than rsync an ssh connection serves, "" for nothing:
// a terminal, a forward, or a session outside the rsync trees. Any of these
// may be a person.
func (g *grouper) alsoServes(c sshConnection) string {
	if c.manyTCP || c.listens {
		return "its ssh connection also forwards TCP"
	}
	for _, p := range c.procs {
		if what := g.alsoServesItself(p); what != "" {
			return what
		}
		for _, child := range g.table.Children(p.ID.PID) {
			if child.State == 'Z' || slices.ContainsFunc(c.procs, func(q *proc.Process) bool { return q.ID == child.ID }) {
				continue
			}
			if !g.leadsToRsync(child, 0) {
				return fmt.Sprintf("its ssh connection also serves %s (pid %d)", child.Name(), child.ID.PID)
			}
		}
	}
	return ""
}

// alsoServesItself looks at what one process of sshd holds.
func (g *grouper) alsoServesItself(p *proc.Process) string {
	h := g.table.Holds(p)
	for _, f := range h.Files {
		switch f.Path {
		case "/dev/ptmx", "/dev/pts/ptmx":
			return "its ssh connection also has a terminal"
		case "/dev/net/tun":
			return "its ssh connection also carries a tunnel"
		}
	}
	for _, s := range h.Sockets {
		listens := s.Kind == sockets.UnixListening && !sockets.IsAgentPath(s.Path)
		reaches := s.Kind == sockets.UnixStream && s.Peer != "" && !sockets.IsSystemPath(s.Peer)
		if listens || reaches {
			return "its ssh connection also forwards a socket"
		}
	}
	return ""
}

// leadsToRsync says whether a process is an rsync server or has one below it.
func (g *grouper) leadsToRsync(p *proc.Process, depth int) bool {
	if p.IsRsync() {
		return p.Cmd.Server
	}
	if depth >= maxDepth {
		return false
	}
	return slices.ContainsFunc(g.table.Children(p.ID.PID), func(c *proc.Process) bool {
		return g.leadsToRsync(c, depth+1)
	})
}
