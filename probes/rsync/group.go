package rsync

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeline/probes/sshd"
	"lifeline/watchdog"
)

// world is what grouping may ask about processes. The answers may be a
// moment old; nil is a process that has gone.
type world interface {
	process(pid int) *process
	children(pid int) []*process
	holds(p *process) *holding
	inherited(p *process, inode uint64) bool // its parent has the socket too
	identity(p *process) (sshd.Identity, error)
	sshds() []*process // the parts of the host's sshd that are known, with their titles

	// chosen is the connection that choose noted of a process; 0 for none.
	chosen(p *process) uint64
	choose(p *process, inode uint64)
	// compete says which of its connections moves with what a family of processes
	// reads and writes, when that shows.
	compete(p *process, family []*process, tcp []held) (inode uint64, ok bool)
}

// holding is what a process has open.
type holding struct {
	sockets []held // by descriptor
	files   []fd
	count   int   // of all descriptors; 0 when it does not tell whether they are still the same
	err     error // why it may be incomplete
	listed  time.Time
	next    int // descriptor from which on it is to be listed further; 0 when it is whole
}

// same says whether two listings show the same.
func (h *holding) same(other *holding) bool {
	socket := func(a, b held) bool { return a.FD == b.FD && a.Inode == b.Inode && a.Kind == b.Kind }
	return slices.EqualFunc(h.sockets, other.sockets, socket) && slices.Equal(h.files, other.files) &&
		(h.err == nil) == (other.err == nil)
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
		if len(p.Argv) == 0 {
			g.wait(p)
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
	if listens {
		if len(tcp) > 0 {
			g.wait(p)
		}
		return
	}
	own, ok := g.own(p, tcp, g.accepted(p))
	switch {
	case ok:
		g.add(bySocket(own.Inode), watchdog.ViaDaemon, p).connect(own)
	case len(tcp) > 0:
		f := g.add(byPID(g.owner(p)), watchdog.ViaDaemon, p)
		f.lost = undecided(p, tcp)
		g.wait(p)
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
	f.socket = watchdog.Socket{Inode: s.Inode, Cookie: s.Cookie, Netns: s.Netns, Local: s.Local, Remote: s.Remote}
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
		f.pair = f.pair || (f.argv == nil && pairs(w, p))
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
		return s.Kind == unixStream && s.Path == "" && s.Peer == "" && s.FD > 2 && !w.inherited(p, s.Inode)
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
