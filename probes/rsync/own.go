package rsync

import (
	"fmt"
	"slices"
)

// own finds the connection of a process that holds it itself. It may hold others' too,
// which whoever started it had open: to limit one of those would be harm. sure says that
// a connection can only be its own; otherwise the one counts whose bytes move with what
// its processes read and write. What was found once stands.
func (g *grouping) own(p *process, tcp []held, sure func(held) bool) (held, bool) {
	tcp = distinct(tcp)
	if len(tcp) == 0 {
		return held{}, false
	}
	owner := g.owner(p)
	inode := g.world.chosen(p)
	if inode == 0 {
		inode = g.world.chosen(owner)
	}
	if of(tcp, inode) < 0 {
		if inode = only(tcp, sure); inode == 0 {
			inode, _ = g.world.compete(owner, g.family(owner), tcp)
		}
	}
	i := of(tcp, inode)
	if i < 0 {
		return held{}, false
	}
	g.world.choose(p, inode)
	return tcp[i], true
}

// of is the place of an inode among sockets; -1 for none.
func of(sockets []held, inode uint64) int {
	return slices.IndexFunc(sockets, func(s held) bool { return s.Inode == inode })
}

// only is the inode of the one socket for which sure holds; 0 when there are several.
func only(sockets []held, sure func(held) bool) (inode uint64) {
	for _, s := range sockets {
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
func (g *grouping) owner(p *process) *process {
	for range maxDepth {
		parent := g.world.process(p.PPID)
		if parent == nil || !parent.rsync() || !slices.Equal(parent.Argv, p.Argv) || g.listens(parent) {
			return p
		}
		p = parent
	}
	return p
}

func (g *grouping) listens(p *process) bool {
	_, listens := connected(g.world.holds(p).sockets)
	return listens
}

// family is a process and what it forked without an exec.
func (g *grouping) family(p *process) []*process {
	out := []*process{p}
	for i := 0; i < len(out) && len(out) < maxDepth; i++ {
		for _, c := range g.world.children(out[i].ID.PID) {
			if c.rsync() && slices.Equal(c.Argv, p.Argv) {
				out = append(out, c)
			}
		}
	}
	return out
}

// accepted tells the connection that a daemon's child serves: it came in at the port on
// which the daemon listens, also where that one has ended, or is its standard input, as
// inetd and systemd have it.
func (g *grouping) accepted(p *process) func(held) bool {
	owner := g.owner(p)
	var ports []uint16
	if daemon := g.world.process(owner.PPID); daemon != nil && daemon.rsync() {
		for _, s := range g.world.holds(daemon).sockets {
			if s.Kind == tcpListening {
				ports = append(ports, s.Local.Port())
			}
		}
	}
	if len(ports) == 0 {
		ports = append(ports, servedPort(owner.Argv))
	}
	var standard uint64
	if h := g.world.holds(owner); len(h.sockets) > 0 && h.sockets[0].FD == 0 {
		standard = h.sockets[0].Inode
	}
	return func(s held) bool { return s.Inode == standard || slices.Contains(ports, s.Local.Port()) }
}

// without leaves the connections that none of some processes holds.
func (g *grouping) without(tcp []held, procs ...*process) []held {
	var out []held
	for _, s := range tcp {
		if !slices.ContainsFunc(procs, func(p *process) bool { return of(g.world.holds(p).sockets, s.Inode) >= 0 }) {
			out = append(out, s)
		}
	}
	return out
}

// undecided says why a transfer is left alone.
func undecided(p *process, tcp []held) string {
	return fmt.Sprintf("of the %d connections that pid %d holds none moves with what it reads and writes, so far: "+
		"they may be somebody else's", len(distinct(tcp)), p.ID.PID)
}
