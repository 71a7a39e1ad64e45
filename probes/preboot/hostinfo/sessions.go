package hostinfo

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lifeline/probes/sshd"
)

// procInfo is what /proc tells of one process, as far as ssh sessions go.
type procInfo struct {
	pid, ppid int
	comm      string
	// id is known of what is named sshd, and of who started root's.
	id sshd.Identity
	// title is the command line; sshd writes the user's name there.
	title string
	// sockets are the inodes of the sockets it holds, as far as they were asked for.
	sockets []uint32
	// hidden says that they could not be looked at.
	hidden bool
}

// named says whether a process calls itself a part of OpenSSH's server.
func (p procInfo) named() bool { return sshd.Named(p.comm) || sshd.Named(p.id.Exe.Name) }

// tcpSocket is a TCP socket of this host.
type tcpSocket struct {
	local, remote netip.AddrPort
	listening     bool
	inode         uint32
}

// snapshot is the processes and TCP sockets of one moment. It implements
// sshd.Host; its sockets are those of this network namespace.
type snapshot struct {
	procs []procInfo
	byPID map[int]*procInfo
	socks map[uint32]tcpSocket
}

func newSnapshot(procs []procInfo, socks []tcpSocket) *snapshot {
	s := &snapshot{procs: procs, byPID: map[int]*procInfo{}, socks: map[uint32]tcpSocket{}}
	for i, p := range procs {
		s.byPID[p.pid] = &procs[i]
	}
	for _, k := range socks {
		s.socks[k.inode] = k
	}
	return s
}

// Identity implements sshd.Host.
func (s *snapshot) Identity(pid int) (sshd.Identity, error) {
	p := s.byPID[pid]
	if p == nil || p.id.PID == 0 {
		return sshd.Identity{}, sshd.ErrGone
	}
	return p.id, nil
}

// TCP implements sshd.Host.
func (s *snapshot) TCP(pid int) (out []sshd.Socket, err error) {
	p := s.byPID[pid]
	if p == nil {
		return nil, sshd.ErrGone
	}
	if p.hidden {
		err = errHidden
	}
	for _, inode := range p.sockets {
		if k, ok := s.socks[inode]; ok {
			out = append(out, sshd.Socket{Inode: uint64(inode), Listening: k.listening, Local: k.local, Remote: k.remote})
		}
	}
	return out, err
}

// Listeners implements sshd.Host.
func (s *snapshot) Listeners() (out []int) {
	for _, p := range s.procs {
		parent, _ := s.Identity(p.ppid)
		if p.id.Server() && !parent.Server() && !loggedIn.MatchString(p.title) {
			out = append(out, p.pid)
		}
	}
	return out
}

// loggedIn matches the title of an sshd behind which somebody has logged in:
// a name, and the terminals if any. Before that sshd writes "[accepted]",
// "[net]" or "[priv]" (sshd.c, monitor.c, session.c of OpenSSH).
var loggedIn = regexp.MustCompile(`^sshd(?:-session)?: ([^\s\[\]@]+)(?:@(\S+))?$`)

// sessions picks, of all TCP sockets, the incoming ssh connections of
// somebody who is logged in and not just a transfer's carrier, with the local
// ports that they use. What the host's sshd did not accept is none of them, whatever
// it calls itself.
func (s *snapshot) sessions() (list []Session, ports []uint16) {
	children := map[int][]procInfo{}
	holders := map[uint64][]procInfo{}
	var found []sshd.Connection
	for _, p := range s.procs {
		children[p.ppid] = append(children[p.ppid], p)
		if !p.named() {
			continue
		}
		c, err := sshd.Accepted(s, p.pid)
		if err != nil || c.Remote.Addr().IsLoopback() || !UsableAnywhere(c.Remote.Addr()) {
			continue
		}
		if len(holders[c.Inode]) == 0 {
			found = append(found, c)
		}
		holders[c.Inode] = append(holders[c.Inode], p)
	}
	for _, c := range found {
		who, in := loggedInProcess(holders[c.Inode], children)
		if !in {
			continue
		}
		one := Session{Src: c.Remote.Addr(), Local: c.Local.Addr(), User: strconv.FormatUint(uint64(who.id.UIDs[0]), 10)}
		if !slices.Contains(list, one) {
			list = append(list, one)
		}
		if !slices.Contains(ports, c.Local.Port()) {
			ports = append(ports, c.Local.Port())
		}
	}
	return list, ports
}

// loggedInProcess finds the process of sshd, of those that hold a connection, behind which
// somebody is logged in. A login without a terminal that runs rsync is a transfer.
func loggedInProcess(holders []procInfo, children map[int][]procInfo) (who procInfo, in bool) {
	terminal := false
	for _, p := range holders {
		if m := loggedIn.FindStringSubmatch(p.title); m != nil {
			who, in = p, true
			terminal = terminal || m[2] != "" && m[2] != "notty"
		}
	}
	return who, in && (terminal || !runsRsync(holders, children))
}

// runsRsync says whether one of some processes, or what they have started, is rsync.
func runsRsync(some []procInfo, children map[int][]procInfo) bool {
	seen := map[int]bool{}
	for todo := slices.Clone(some); len(todo) > 0; {
		p := todo[0]
		todo = todo[1:]
		if seen[p.pid] {
			continue
		}
		seen[p.pid] = true
		if p.comm == "rsync" {
			return true
		}
		todo = append(todo, children[p.pid]...)
	}
	return false
}

// maxForeign bounds what is told of processes that only call themselves sshd.
const maxForeign = 8

// foreign tells of the processes that call themselves sshd, are no part of the host's,
// and hold a connection from or to elsewhere, or listen.
func (s *snapshot) foreign() (out []string) {
	n := 0
	for _, p := range s.procs {
		if !p.named() || p.id.PID == 0 || sshd.Belongs(s, p.pid) {
			continue
		}
		held, _ := s.TCP(p.pid)
		i := slices.IndexFunc(held, func(k sshd.Socket) bool { return k.Listening || !k.Remote.Addr().IsLoopback() })
		if i < 0 {
			continue
		}
		if n++; n > maxForeign {
			continue
		}
		what := fmt.Sprintf("its connection with %s", held[i].Remote.Addr())
		if held[i].Listening {
			what = fmt.Sprintf("its port %d", held[i].Local.Port())
		}
		out = append(out, fmt.Sprintf("pid %d calls itself sshd, runs as uid %d, and is no part of this host's sshd: %s is no evidence", p.pid, p.id.UIDs[0], what))
	}
	if n > maxForeign {
		out = append(out, fmt.Sprintf("%d more processes call themselves sshd and are no part of this host's", n-maxForeign))
	}
	return out
}

// parseStat reads pid, name and parent out of /proc/PID/stat (proc_pid_stat(5));
// the name may contain anything, so it ends at the last bracket.
func parseStat(s string) (procInfo, bool) {
	open, end := strings.Index(s, "("), strings.LastIndex(s, ")")
	if open < 0 || end < open {
		return procInfo{}, false
	}
	f := strings.Fields(s[end+1:])
	pid, err := strconv.Atoi(strings.TrimSpace(s[:open]))
	if err != nil || len(f) < 2 {
		return procInfo{}, false
	}
	ppid, err := strconv.Atoi(f[1])
	return procInfo{pid: pid, ppid: ppid, comm: s[open+1 : end]}, err == nil
}
