package rsync

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lifeline/watchdog"
)

// world is what grouping may ask about processes. The answers may be a
// moment old; nil is a process that has gone.
type world interface {
	process(pid int) *process
	children(pid int) []*process
	holds(p *process) *holding
}

// holding is what a process has open.
type holding struct {
	sockets []held // by descriptor
	files   []fd
	err     error // why it may be incomplete
}

// found is one transfer as its processes and sockets show it.
type found struct {
	id      watchdog.TransferID
	via     watchdog.Via
	members []*process // the rsync processes, oldest first
	parents []*process // between them and sshd, the listener or init
	others  []*process // that hold the socket for them: sshd, ssh
	socket  watchdog.Socket
	tcp     bool   // socket is known
	argv    *bool  // by the command line: true when this end sends
	pair    bool   // a member holds one end of a socketpair of its own
	home    string // where a daemon's child starts from
	shared  string // why the connection is not rsync's alone
	lost    string // why there is no socket
	barred  error  // why the socket cannot be reached
}

// maxDepth bounds every walk up or down the process tree.
const maxDepth = 32

// grouping collects rsync processes into transfers.
type grouping struct {
	world world
	byID  map[watchdog.TransferID]*found
	order []watchdog.TransferID
	// unfinished are processes that may become a transfer at any moment.
	unfinished []*process
}

// group sorts rsync processes into transfers. Young ones that are none yet,
// but may become one, are returned apart.
func group(w world, rsyncs []*process) ([]*found, []*process) {
	g := grouping{world: w, byID: map[watchdog.TransferID]*found{}}
	for _, p := range rsyncs {
		if p.State == 'Z' || p.State == 'X' {
			continue
		}
		switch root := g.root(p); {
		case p.Cmd.Server:
			g.server(p, root)
		case p.Cmd.Daemon:
			g.daemonChild(p)
		default:
			g.client(p, root)
		}
	}
	out := make([]*found, 0, len(g.order))
	for _, id := range g.order {
		f := g.byID[id]
		f.finish(w)
		out = append(out, f)
	}
	return out, g.unfinished
}

// root climbs from a process to the one that it was forked from without an
// exec: a generator's receiver has its command line.
func (g *grouping) root(p *process) *process {
	for range maxDepth {
		parent := g.world.process(p.PPID)
		if parent == nil || !parent.rsync() || !slices.Equal(parent.Argv, p.Argv) {
			return p
		}
		p = parent
	}
	return p
}

// add puts a process into the transfer of that id, which is made when it is
// the first.
func (g *grouping) add(id watchdog.TransferID, via watchdog.Via, p *process) *found {
	f := g.byID[id]
	if f == nil {
		f = &found{id: id, via: via}
		g.byID[id] = f
		g.order = append(g.order, id)
	}
	if !slices.Contains(f.members, p) {
		f.members = append(f.members, p)
	}
	return f
}

// bySocket and byPID name a transfer.
func bySocket(inode uint64) watchdog.TransferID {
	return watchdog.TransferID("t" + strconv.FormatUint(inode, 10))
}

func byPID(p *process) watchdog.TransferID {
	return watchdog.TransferID("p" + strconv.Itoa(p.ID.PID))
}

// wait notes a process that is no transfer yet.
func (g *grouping) wait(p *process) { g.unfinished = append(g.unfinished, p) }

// connected picks the TCP connections out of a process's sockets, and says
// whether it listens.
func connected(sockets []held) (tcp []held, listens bool) {
	for _, s := range sockets {
		switch s.Kind {
		case tcpConnected:
			tcp = append(tcp, s)
		case tcpListening:
			listens = true
		}
	}
	return tcp, listens
}

// daemonChild takes a process with a daemon's command line. It serves one
// connection, unless it listens: then it is the daemon, or was forked this
// moment.
func (g *grouping) daemonChild(p *process) {
	h := g.world.holds(p)
	tcp, listens := connected(h.sockets)
	switch {
	case listens:
		if len(tcp) > 0 {
			g.wait(p)
		}
	case len(tcp) > 0:
		g.add(bySocket(tcp[0].Inode), watchdog.ViaDaemon, p).connect(tcp[0])
	case h.err != nil:
		if top := g.served(p); top != nil {
			f := g.add(byPID(top), watchdog.ViaDaemon, top)
			g.add(f.id, f.via, p)
			f.lost = fmt.Sprintf("the connection of pid %d may not be looked at: %v", top.ID.PID, h.err)
		}
	case g.tunnelled(p):
		f := g.add(byPID(g.root(p)), watchdog.ViaDaemon, p)
		f.lost = "its connection belongs to a TLS proxy"
	default:
		g.wait(p)
	}
}

// served climbs to the child of the daemon that serves one connection; nil
// for the daemon itself.
func (g *grouping) served(p *process) *process {
	for range maxDepth {
		parent := g.world.process(p.PPID)
		if parent == nil || !parent.rsync() {
			return nil
		}
		if above := g.world.process(parent.PPID); above == nil || !above.rsync() {
			return p
		}
		p = parent
	}
	return nil
}

// tunnelled says whether a daemon was started by a TLS proxy that keeps the
// connection to itself.
func (g *grouping) tunnelled(p *process) bool {
	parent := g.world.process(g.root(p).PPID)
	return parent != nil && strings.HasPrefix(parent.Exe, "stunnel")
}

// client takes an rsync that a person or a job started here.
func (g *grouping) client(p, root *process) {
	far := root.Cmd.remote()
	h := g.world.holds(p)
	tcp, _ := connected(h.sockets)
	if len(tcp) == 0 && p != root {
		tcp, _ = connected(g.world.holds(root).sockets)
	}
	if len(tcp) > 0 {
		f := g.add(bySocket(tcp[0].Inode), watchdog.ViaDaemonClient, p)
		f.sends(far)
		f.connect(tcp[0])
		return
	}
	if far == isLocal {
		return
	}
	g.remoteShell(p, root, far)
}

// remoteShell takes a client whose connection belongs to a program that it
// started: ssh, or whatever --rsh names.
func (g *grouping) remoteShell(p, root *process, far remoteness) {
	below := g.descendants(root)
	if len(below) == 0 {
		g.wait(p)
		return
	}
	via := watchdog.ViaSSHClient
	if root.Cmd.toDaemon() && below[0].Exe != "ssh" {
		via = watchdog.ViaDaemonClient
	}
	for _, d := range below {
		tcp, listens := connected(g.world.holds(d).sockets)
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

// sends notes what the command line says of the direction.
func (f *found) sends(far remoteness) {
	switch far {
	case toRemote:
		f.setSends(true)
	case fromRemote:
		f.setSends(false)
	}
}

func (f *found) setSends(v bool) { f.argv = &v }

// connect notes the connection; the first one counts.
func (f *found) connect(s held) {
	if f.tcp {
		return
	}
	f.tcp, f.barred = true, s.OutOfReach
	f.socket = watchdog.Socket{Inode: s.Inode, Netns: s.Netns, Local: s.Local, Remote: s.Remote}
}

// holder notes a process that holds the connection.
func (f *found) holder(w world, p *process) {
	if !p.rsync() && !slices.Contains(f.others, p) {
		f.others = append(f.others, p)
	}
	for _, s := range w.holds(p).sockets {
		ref := watchdog.FDRef{Proc: p.id(), FD: s.FD}
		if s.Inode == f.socket.Inode && !slices.Contains(f.socket.Refs, ref) {
			f.socket.Refs = append(f.socket.Refs, ref)
		}
	}
}

// older orders processes by birth.
func older(a, b *process) int {
	return cmp.Or(cmp.Compare(a.ID.Start, b.ID.Start), cmp.Compare(a.ID.PID, b.ID.PID))
}

// finish completes a transfer when all its members are known.
func (f *found) finish(w world) {
	slices.SortFunc(f.members, older)
	for _, p := range f.members {
		f.holder(w, p)
		f.pair = f.pair || pairs(w, p)
		if f.socket.Netns == 0 {
			f.socket.Netns = p.Netns
		}
	}
	if f.via == watchdog.ViaDaemon {
		f.home = "/"
		if parent := w.process(f.members[0].PPID); parent != nil && parent.rsync() {
			f.home = parent.CWD
		}
		f.parents = between(w, f.members[0], func(p *process) bool { return p.rsync() })
	}
}

// dir is the directory that a daemon's child has gone to; "" as long as it has
// not moved: only then has its client chosen a module.
func (f *found) dir() string {
	if cwd := f.members[0].CWD; cwd != f.home {
		return cwd
	}
	return ""
}

// pairs says whether a process holds one end of a socketpair that is neither
// its standard input or output, nor inherited from whoever started rsync.
func pairs(w world, p *process) bool {
	return slices.ContainsFunc(w.holds(p).sockets, func(s held) bool {
		if s.Kind != unixStream || s.Path != "" || s.Peer != "" || s.FD <= 2 {
			return false
		}
		parent := w.process(p.PPID)
		return parent == nil || !slices.ContainsFunc(w.holds(parent).sockets, func(o held) bool { return o.Inode == s.Inode })
	})
}

// between lists the ancestors of a process up to, and without, the first that
// stop accepts, or init.
func between(w world, p *process, stop func(*process) bool) []*process {
	var out []*process
	for range maxDepth {
		if p.PPID <= 1 {
			return out
		}
		parent := w.process(p.PPID)
		if parent == nil || stop(parent) {
			return out
		}
		out = append(out, parent)
		p = parent
	}
	return out
}

// control says how far the transfer may be touched, and why not further.
func (f *found) control() (watchdog.Controllable, string) {
	if !f.tcp {
		return watchdog.ControlNone, f.lost
	}
	client := f.via == watchdog.ViaDaemonClient || f.via == watchdog.ViaSSHClient
	unlimited, unstoppable := f.unlimited(), f.unstoppable()
	if client {
		unstoppable = "the client end is never stopped"
	}
	switch {
	case unlimited != "" && unstoppable != "":
		return watchdog.ControlNone, unlimited + "; " + unstoppable
	case unlimited != "":
		return watchdog.ControlPauseOnly, unlimited
	case unstoppable != "":
		return watchdog.ControlLimitOnly, unstoppable
	}
	return watchdog.ControlFull, ""
}

// unlimited says why the connection may not be limited.
func (f *found) unlimited() string {
	if f.shared == "" && f.barred != nil {
		return fmt.Sprintf("its socket cannot be reached: %v", f.barred)
	}
	return f.shared
}

// unstoppable says why stopping would be noticed by more than the transfer.
func (f *found) unstoppable() string {
	for _, p := range f.parents {
		if changesUser(p.Exe) {
			return fmt.Sprintf("runs under %s (pid %d), which would stop itself with it", p.Exe, p.ID.PID)
		}
	}
	for _, p := range f.members {
		if p.TTY != 0 {
			return fmt.Sprintf("pid %d has a controlling terminal", p.ID.PID)
		}
	}
	return ""
}
