package grouping

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lifeline/probes/rsync/cmdline"
	"lifeline/probes/rsync/proc"
	"lifeline/probes/rsync/proctable"
	"lifeline/probes/rsync/sockets"
	"lifeline/watchdog"
)

// Transfer is one transfer as its processes and sockets show it.
type Transfer struct {
	ID            watchdog.TransferID
	Via           watchdog.Via
	Members       []*proc.Process // the rsync processes, oldest first
	Parents       []*proc.Process // between them and sshd, the listener or init
	OtherHolders  []*proc.Process // that hold the socket for them: sshd, ssh
	Socket        watchdog.Socket
	Connected     bool          // socket is known
	Sends         *bool         // by the command line: true when this end sends
	HasSocketPair bool          // a member holds one end of a socketpair of its own
	Daemon        *proc.Process // the parent of the first member, of a daemon's child
	home          string        // where a daemon's child starts from
	shared        string        // why the connection is not rsync's alone
	noSocket      string        // why there is no socket
	outOfReach    error         // why the socket cannot be reached
}

// maxDepth bounds every walk up or down the process tree.
const maxDepth = 32

// grouper collects rsync processes into transfers.
type grouper struct {
	table *proctable.Table
	byID  map[watchdog.TransferID]*Transfer
	order []watchdog.TransferID
	// unfinished are processes that may become a transfer at any moment.
	unfinished []*proc.Process
}

// Group sorts rsync processes into transfers. Young ones that are none yet,
// but may become one, are returned apart.
func Group(t *proctable.Table, rsyncs []*proc.Process) ([]*Transfer, []*proc.Process) {
	g := grouper{table: t, byID: map[watchdog.TransferID]*Transfer{}}
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
	out := make([]*Transfer, 0, len(g.order))
	for _, id := range g.order {
		f := g.byID[id]
		f.finish(t)
		out = append(out, f)
	}
	return out, g.unfinished
}

// root climbs from a process to the one that it was forked from without an
// exec: a generator's receiver has its command line.
func (g *grouper) root(p *proc.Process) *proc.Process {
	for range maxDepth {
		parent := g.table.Process(p.PPID)
		if parent == nil || !parent.IsRsync() || !slices.Equal(parent.Argv, p.Argv) {
			return p
		}
		p = parent
	}
	return p
}

// add puts a process into the transfer of that id, which is made when it is
// the first.
func (g *grouper) add(id watchdog.TransferID, via watchdog.Via, p *proc.Process) *Transfer {
	f := g.byID[id]
	if f == nil {
		f = &Transfer{ID: id, Via: via}
		g.byID[id] = f
		g.order = append(g.order, id)
	}
	if !slices.Contains(f.Members, p) {
		f.Members = append(f.Members, p)
	}
	return f
}

// IDBySocket and idByPID name a transfer.
func IDBySocket(inode uint64) watchdog.TransferID {
	return watchdog.TransferID("t" + strconv.FormatUint(inode, 10))
}

func idByPID(p *proc.Process) watchdog.TransferID {
	return watchdog.TransferID("p" + strconv.Itoa(p.ID.PID))
}

// wait notes a process that is no transfer yet.
func (g *grouper) wait(p *proc.Process) { g.unfinished = append(g.unfinished, p) }

// tcpSockets picks the TCP connections out of a process's sockets, and says
// whether it listens.
func tcpSockets(held []sockets.Held) (tcp []sockets.Held, listens bool) {
	for _, s := range held {
		switch s.Kind {
		case sockets.TCPConnected:
			tcp = append(tcp, s)
		case sockets.TCPListening:
			listens = true
		}
	}
	return tcp, listens
}

// daemonChild takes a process with a daemon's command line. It serves one
// connection, unless it listens: then it is the daemon, or was forked this
// moment.
func (g *grouper) daemonChild(p *proc.Process) {
	h := g.table.Holds(p)
	tcp, listens := tcpSockets(h.Sockets)
	if listens {
		if len(tcp) > 0 {
			g.wait(p)
		}
		return
	}
	own, ok := g.ownConnection(p, tcp, g.accepted(p))
	switch {
	case ok:
		g.add(IDBySocket(own.Inode), watchdog.ViaDaemon, p).connect(own)
	case len(tcp) > 0:
		f := g.add(idByPID(g.owner(p)), watchdog.ViaDaemon, p)
		f.noSocket = undecided(p, tcp)
		g.wait(p)
	case h.Err != nil:
		if top := g.servingChild(p); top != nil {
			f := g.add(idByPID(top), watchdog.ViaDaemon, top)
			g.add(f.ID, f.Via, p)
			f.noSocket = fmt.Sprintf("the connection of pid %d may not be looked at: %v", top.ID.PID, h.Err)
		}
	case g.behindTLSProxy(p):
		f := g.add(idByPID(g.root(p)), watchdog.ViaDaemon, p)
		f.noSocket = "its connection belongs to a TLS proxy"
	default:
		g.wait(p)
	}
}

// servingChild climbs to the child of the daemon that serves one connection; nil
// for the daemon itself.
func (g *grouper) servingChild(p *proc.Process) *proc.Process {
	for range maxDepth {
		parent := g.table.Process(p.PPID)
		if parent == nil || !parent.IsRsync() {
			return nil
		}
		if above := g.table.Process(parent.PPID); above == nil || !above.IsRsync() {
			return p
		}
		p = parent
	}
	return nil
}

// behindTLSProxy says whether a daemon was started by a TLS proxy that keeps the
// connection to itself.
func (g *grouper) behindTLSProxy(p *proc.Process) bool {
	parent := g.table.Process(g.root(p).PPID)
	return parent != nil && strings.HasPrefix(parent.Exe, "stunnel")
}

// setRemote notes what the command line says of the direction.
func (f *Transfer) setRemote(far cmdline.RemoteSide) {
	switch far {
	case cmdline.RemoteDestination:
		f.setSends(true)
	case cmdline.RemoteSource:
		f.setSends(false)
	}
}

func (f *Transfer) setSends(v bool) { f.Sends = &v }

// connect notes the connection; the first one counts.
func (f *Transfer) connect(s sockets.Held) {
	if f.Connected {
		return
	}
	f.Connected, f.outOfReach = true, s.OutOfReach
	f.Socket = watchdog.Socket{Inode: s.Inode, Cookie: s.Cookie, Netns: s.Netns, Local: s.Local, Remote: s.Remote}
}

// holder notes a process that holds the connection.
func (f *Transfer) holder(t *proctable.Table, p *proc.Process) {
	if !p.IsRsync() && !slices.Contains(f.OtherHolders, p) {
		f.OtherHolders = append(f.OtherHolders, p)
	}
	for _, s := range t.Holds(p).Sockets {
		ref := watchdog.FDRef{Proc: p.ID, FD: s.FD}
		if s.Inode == f.Socket.Inode && !slices.Contains(f.Socket.Refs, ref) {
			f.Socket.Refs = append(f.Socket.Refs, ref)
		}
	}
}

// older orders processes by birth.
func older(a, b *proc.Process) int {
	return cmp.Or(cmp.Compare(a.ID.Start, b.ID.Start), cmp.Compare(a.ID.PID, b.ID.PID))
}

// finish completes a transfer when all its members are known.
func (f *Transfer) finish(t *proctable.Table) {
	slices.SortFunc(f.Members, older)
	for _, p := range f.Members {
		f.holder(t, p)
		f.HasSocketPair = f.HasSocketPair || (f.Sends == nil && holdsSocketPair(t, p))
		if f.Socket.Netns == 0 {
			f.Socket.Netns = p.Netns
		}
	}
	if f.Via == watchdog.ViaDaemon {
		f.home = "/"
		f.Daemon = t.Process(f.Members[0].PPID)
		if f.Daemon != nil && f.Daemon.IsRsync() {
			f.home = f.Daemon.CWD
		}
		f.Parents = ancestors(t, f.Members[0], func(p *proc.Process) bool { return p.IsRsync() })
	}
}

// ModuleDir is the directory that a daemon's child has gone to; "" as long as it has
// not moved: only then has its client chosen a module.
func (f *Transfer) ModuleDir() string {
	if cwd := f.Members[0].CWD; cwd != f.home {
		return cwd
	}
	return ""
}

// Foreign says whether a transfer belongs to another network namespace than that.
func (f *Transfer) Foreign(netns uint64) bool {
	return f.Socket.Netns != 0 && f.Socket.Netns != netns
}

// holdsSocketPair says whether a process holds one end of a socketpair that is neither
// its standard input or output, nor inherited from whoever started rsync.
func holdsSocketPair(t *proctable.Table, p *proc.Process) bool {
	return slices.ContainsFunc(t.Holds(p).Sockets, func(s sockets.Held) bool {
		return s.Kind == sockets.UnixStream && s.Path == "" && s.Peer == "" && s.FD > 2 && !t.Inherited(p, s.Inode)
	})
}

// ancestors lists the ancestors of a process up to, and without, the first that
// stop accepts, or init.
func ancestors(t *proctable.Table, p *proc.Process, stop func(*proc.Process) bool) []*proc.Process {
	var out []*proc.Process
	for range maxDepth {
		if p.PPID <= 1 {
			return out
		}
		parent := t.Process(p.PPID)
		if parent == nil || stop(parent) {
			return out
		}
		out = append(out, parent)
		p = parent
	}
	return out
}
