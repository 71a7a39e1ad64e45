package grouping

import (
	"fmt"
	"slices"

	"lifeline/probes/rsync/cmdline"
	"lifeline/probes/rsync/proc"
	"lifeline/probes/rsync/sockets"
)

// ownConnection finds the connection of a process that holds it itself. It may hold others' too,
// which whoever started it had open: to limit one of those would be harm. sure says that
// a connection can only be its own; otherwise the one counts whose bytes move with what
// its processes read and write. What was found once stands.
func (g *grouper) ownConnection(p *proc.Process, tcp []sockets.Held, sure func(sockets.Held) bool) (sockets.Held, bool) {
	tcp = distinct(tcp)
	if len(tcp) == 0 {
		return sockets.Held{}, false
	}
	owner := g.owner(p)
	inode := g.table.OwnConnection(p)
	if inode == 0 {
		inode = g.table.OwnConnection(owner)
	}
	if indexOf(tcp, inode) < 0 {
		if inode = theOnly(tcp, sure); inode == 0 {
			inode, _ = g.table.CorrelatedConnection(owner, g.family(owner), tcp)
		}
	}
	i := indexOf(tcp, inode)
	if i < 0 {
		return sockets.Held{}, false
	}
	g.table.SetOwnConnection(p, inode)
	return tcp[i], true
}

// indexOf is the place of an inode among sockets; -1 for none.
func indexOf(held []sockets.Held, inode uint64) int {
	return slices.IndexFunc(held, func(s sockets.Held) bool { return s.Inode == inode })
}

// theOnly is the inode of the one socket for which sure holds; 0 when there are several.
func theOnly(held []sockets.Held, sure func(sockets.Held) bool) (inode uint64) {
	for _, s := range held {
		switch {
		case !sure(s):
		case inode != 0:
			return 0
		default:
			inode = s.Inode
		}
	}
	return inode
}

// owner climbs to the process that had the connection first: what it forked, without an
// exec, has it too. A daemon that listens is above that.
func (g *grouper) owner(p *proc.Process) *proc.Process {
	for range maxDepth {
		parent := g.table.Process(p.PPID)
		if parent == nil || !parent.IsRsync() || !slices.Equal(parent.Argv, p.Argv) || g.listens(parent) {
			return p
		}
		p = parent
	}
	return p
}

func (g *grouper) listens(p *proc.Process) bool {
	_, listens := tcpSockets(g.table.Holds(p).Sockets)
	return listens
}

// family is a process and what it forked without an exec.
func (g *grouper) family(p *proc.Process) []*proc.Process {
	out := []*proc.Process{p}
	for i := 0; i < len(out) && len(out) < maxDepth; i++ {
		for _, c := range g.table.Children(out[i].ID.PID) {
			if c.IsRsync() && slices.Equal(c.Argv, p.Argv) {
				out = append(out, c)
			}
		}
	}
	return out
}

// accepted tells the connection that a daemon's child serves: it came in at the port on
// which the daemon listens, also where that one has ended, or is its standard input, as
// inetd and systemd have it.
func (g *grouper) accepted(p *proc.Process) func(sockets.Held) bool {
	owner := g.owner(p)
	var ports []uint16
	if daemon := g.table.Process(owner.PPID); daemon != nil && daemon.IsRsync() {
		for _, s := range g.table.Holds(daemon).Sockets {
			if s.Kind == sockets.TCPListening {
				ports = append(ports, s.Local.Port())
			}
		}
	}
	if len(ports) == 0 {
		ports = append(ports, cmdline.ServedPort(owner.Argv))
	}
	var standard uint64
	if h := g.table.Holds(owner); len(h.Sockets) > 0 && h.Sockets[0].FD == 0 {
		standard = h.Sockets[0].Inode
	}
	return func(s sockets.Held) bool { return s.Inode == standard || slices.Contains(ports, s.Local.Port()) }
}

// notHeldBy leaves the connections that none of some processes holds.
func (g *grouper) notHeldBy(tcp []sockets.Held, procs ...*proc.Process) []sockets.Held {
	var out []sockets.Held
	for _, s := range tcp {
		if !slices.ContainsFunc(procs, func(p *proc.Process) bool { return indexOf(g.table.Holds(p).Sockets, s.Inode) >= 0 }) {
			out = append(out, s)
		}
	}
	return out
}

// undecided says why a transfer is left alone.
func undecided(p *proc.Process, tcp []sockets.Held) string {
	return fmt.Sprintf("of the %d connections that pid %d holds none moves with what it reads and writes, so far: "+
		"they may be somebody else's", len(distinct(tcp)), p.ID.PID)
}

// distinct leaves of several descriptors of one socket the first.
func distinct(held []sockets.Held) []sockets.Held {
	var out []sockets.Held
	for _, s := range held {
		if !slices.ContainsFunc(out, func(o sockets.Held) bool { return o.Inode == s.Inode }) {
			out = append(out, s)
		}
	}
	return out
}
