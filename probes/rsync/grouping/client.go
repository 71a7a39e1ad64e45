package grouping

import (
	"fmt"
	"slices"

	"lifeline/probes/rsync/cmdline"
	"lifeline/probes/rsync/proc"
	"lifeline/probes/rsync/sockets"
	"lifeline/watchdog"
)

// client takes an rsync that a person or a job started here.
func (g *grouper) client(p, root *proc.Process) {
	far := root.Cmd.RemoteSide()
	if far == cmdline.NoRemote && !root.CutOff() {
		return // the connections that it may have inherited are others'
	}
	h := g.table.Holds(p)
	tcp, _ := tcpSockets(h.Sockets)
	if len(tcp) == 0 && p != root {
		tcp, _ = tcpSockets(g.table.Holds(root).Sockets)
	}
	if far == cmdline.NoRemote || root.Cmd.ToDaemon() {
		tcp = g.notInherited(p, root, tcp)
		own, ok := g.ownConnection(p, tcp, func(s sockets.Held) bool { return slices.Contains(root.Cmd.Ports, s.Remote.Port()) })
		if ok {
			f := g.add(IDBySocket(own.Inode), watchdog.ViaDaemonClient, p)
			f.setRemote(far)
			f.connect(own)
			return
		}
	}
	if far == cmdline.NoRemote {
		return
	}
	g.remoteShell(p, root, far, tcp)
}

// notInherited leaves the connections that the process which started an rsync has not:
// its own one is made by itself.
func (g *grouper) notInherited(p, root *proc.Process, tcp []sockets.Held) []sockets.Held {
	own := g.table.OwnConnection(p)
	var out []sockets.Held
	for _, s := range tcp {
		if s.Inode == own || !g.table.Inherited(root, s.Inode) {
			out = append(out, s)
		}
	}
	return out
}

// remoteShell takes a client whose connection belongs to a program that it
// started: ssh, or whatever --rsh names.
func (g *grouper) remoteShell(p, root *proc.Process, far cmdline.RemoteSide, tcp []sockets.Held) {
	below := g.descendants(root)
	if err := g.table.Holds(p).Err; err != nil && len(below) == 0 {
		f := g.add(idByPID(root), watchdog.ViaDaemonClient, p)
		f.setRemote(far)
		f.noSocket = fmt.Sprintf("the connection of pid %d may not be looked at: %v", p.ID.PID, err)
		return
	}
	if len(below) == 0 {
		if len(tcp) > 0 && root.Cmd.ToDaemon() {
			f := g.add(idByPID(root), watchdog.ViaDaemonClient, p)
			f.setRemote(far)
			f.noSocket = undecided(p, tcp)
		}
		g.wait(p)
		return
	}
	via := watchdog.ViaSSHClient
	if root.Cmd.ToDaemon() && below[0].Exe != "ssh" {
		via = watchdog.ViaDaemonClient
	}
	for _, d := range below {
		tcp, listens := tcpSockets(g.table.Holds(d).Sockets)
		tcp = g.notHeldBy(tcp, p, root)
		if len(tcp) == 0 {
			continue
		}
		f := g.add(IDBySocket(tcp[0].Inode), via, p)
		f.setRemote(far)
		f.connect(tcp[0])
		f.holder(g.table, d)
		if len(tcp) > 1 || listens || g.multiplexer(d) {
			f.shared = fmt.Sprintf("%s (pid %d) carries other connections too", d.Name(), d.ID.PID)
		}
		return
	}
	f := g.add(idByPID(root), via, p)
	f.setRemote(far)
	f.noSocket = fmt.Sprintf("no connection found below %s (pid %d): it uses that of another process", below[0].Name(), below[0].ID.PID)
	for _, d := range below {
		g.wait(d)
		if err := g.table.Holds(d).Err; err != nil {
			f.noSocket = fmt.Sprintf("the connection of %s (pid %d) may not be looked at: %v", d.Name(), d.ID.PID, err)
		}
	}
}

// multiplexer says whether an ssh accepts sessions of other processes.
func (g *grouper) multiplexer(p *proc.Process) bool {
	return slices.ContainsFunc(g.table.Holds(p).Sockets, func(s sockets.Held) bool {
		return s.Kind == sockets.UnixListening && !sockets.IsAgentPath(s.Path)
	})
}

// descendants lists what a process started, without further rsyncs, nearest
// first.
func (g *grouper) descendants(p *proc.Process) []*proc.Process {
	var out []*proc.Process
	level := []*proc.Process{p}
	for range maxDepth {
		var next []*proc.Process
		for _, q := range level {
			for _, c := range g.table.Children(q.ID.PID) {
				if c.State != 'Z' && !c.IsRsync() && len(out) < 256 {
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
