package rsync

import (
	"fmt"
	"slices"

	"lifeline/watchdog"
)

// client takes an rsync that a person or a job started here.
func (g *grouping) client(p, root *process) {
	far := root.Cmd.remote()
	if far == isLocal && !cutOff(root.Argv) {
		return // the connections that it may have inherited are others'
	}
	h := g.world.holds(p)
	tcp, _ := connected(h.sockets)
	if len(tcp) == 0 && p != root {
		tcp, _ = connected(g.world.holds(root).sockets)
	}
	if far == isLocal || root.Cmd.toDaemon() {
		tcp = g.notInherited(p, root, tcp)
		own, ok := g.own(p, tcp, func(s held) bool { return slices.Contains(root.Cmd.Ports, s.Remote.Port()) })
		if ok {
			f := g.add(bySocket(own.Inode), watchdog.ViaDaemonClient, p)
			f.sends(far)
			f.connect(own)
			return
		}
	}
	if far == isLocal {
		return
	}
	g.remoteShell(p, root, far, tcp)
}

// notInherited leaves the connections that the process which started an rsync has not:
// its own one is made by itself.
func (g *grouping) notInherited(p, root *process, tcp []held) []held {
	own := g.world.chosen(p)
	var out []held
	for _, s := range tcp {
		if s.Inode == own || !g.world.inherited(root, s.Inode) {
			out = append(out, s)
		}
	}
	return out
}

// remoteShell takes a client whose connection belongs to a program that it
// started: ssh, or whatever --rsh names.
func (g *grouping) remoteShell(p, root *process, far remoteness, tcp []held) {
	below := g.descendants(root)
	if err := g.world.holds(p).err; err != nil && len(below) == 0 {
		f := g.add(byPID(root), watchdog.ViaDaemonClient, p)
		f.sends(far)
		f.lost = fmt.Sprintf("the connection of pid %d may not be looked at: %v", p.ID.PID, err)
		return
	}
	if len(below) == 0 {
		if len(tcp) > 0 && root.Cmd.toDaemon() {
			f := g.add(byPID(root), watchdog.ViaDaemonClient, p)
			f.sends(far)
			f.lost = undecided(p, tcp)
		}
		g.wait(p)
		return
	}
	via := watchdog.ViaSSHClient
	if root.Cmd.toDaemon() && below[0].Exe != "ssh" {
		via = watchdog.ViaDaemonClient
	}
	for _, d := range below {
		tcp, listens := connected(g.world.holds(d).sockets)
		tcp = g.without(tcp, p, root)
		if len(tcp) == 0 {
			continue
		}
		f := g.add(bySocket(tcp[0].Inode), via, p)
		f.sends(far)
		f.connect(tcp[0])
		f.holder(g.world, d)
		if len(tcp) > 1 || listens || g.multiplexer(d) {
			f.shared = fmt.Sprintf("%s (pid %d) carries other connections too", d.name(), d.ID.PID)
		}
		return
	}
	f := g.add(byPID(root), via, p)
	f.sends(far)
	f.lost = fmt.Sprintf("no connection found below %s (pid %d): it uses that of another process", below[0].name(), below[0].ID.PID)
	for _, d := range below {
		g.wait(d)
		if err := g.world.holds(d).err; err != nil {
			f.lost = fmt.Sprintf("the connection of %s (pid %d) may not be looked at: %v", d.name(), d.ID.PID, err)
		}
	}
}

// multiplexer says whether an ssh accepts sessions of other processes.
func (g *grouping) multiplexer(p *process) bool {
	return slices.ContainsFunc(g.world.holds(p).sockets, func(s held) bool {
		return s.Kind == unixListening && !agentSocket(s.Path)
	})
}

// descendants lists what a process started, without further rsyncs, nearest
// first.
func (g *grouping) descendants(p *process) []*process {
	var out []*process
	level := []*process{p}
	for range maxDepth {
		var next []*process
		for _, q := range level {
			for _, c := range g.world.children(q.ID.PID) {
				if c.State != 'Z' && !c.rsync() && len(out) < 256 {
					next, out = append(next, c), append(out, c)
				}
			}
		}
		if len(next) == 0 {
			break
		}
		level = next
	}
	return out
}
