package preboot

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// procInfo is what /proc tells of one process, as far as ssh sessions go.
type procInfo struct {
	pid, ppid int
	comm      string
	// title is the command line; sshd writes the user's name there.
	title string
	// sockets are the inodes of the sockets it holds; known of sshd only.
	sockets []uint32
	// hidden says that they could not be looked at.
	hidden bool
}

// tcpSocket is a TCP socket of this host.
type tcpSocket struct {
	local, remote netip.AddrPort
	listening     bool
	inode         uint32
}

// loggedIn matches the title of an sshd behind which somebody has logged in:
// a name, and the terminals if any. Before that sshd writes "[accepted]",
// "[net]" or "[priv]" (sshd.c, monitor.c, session.c of OpenSSH).
var loggedIn = regexp.MustCompile(`^sshd(?:-session)?: ([^\s\[\]@]+)(?:@(\S+))?$`)

func isSSHD(comm string) bool {
	return comm == "sshd" || comm == "sshd-session" || comm == "sshd-auth"
}

// peopleSessions picks, of all TCP sockets, the incoming ssh connections of
// somebody who is logged in and not just a transfer's carrier, with the local
// ports that they use.
func peopleSessions(procs []procInfo, socks []tcpSocket) (list []session, ports []uint16) {
	holders := map[uint32][]procInfo{}
	children := map[int][]procInfo{}
	for _, p := range procs {
		children[p.ppid] = append(children[p.ppid], p)
		if isSSHD(p.comm) {
			for _, s := range p.sockets {
				holders[s] = append(holders[s], p)
			}
		}
	}
	for _, s := range incoming(socks) {
		if !hasPerson(holders[s.inode], children) {
			continue
		}
		one := session{Src: s.remote.Addr(), Local: s.local.Addr()}
		if !slices.Contains(list, one) {
			list = append(list, one)
		}
		if !slices.Contains(ports, s.local.Port()) {
			ports = append(ports, s.local.Port())
		}
	}
	return list, ports
}

// incoming are the connections from elsewhere to ports that are listened on.
func incoming(socks []tcpSocket) []tcpSocket {
	listened := map[uint16]bool{}
	for _, s := range socks {
		if s.listening {
			listened[s.local.Port()] = true
		}
	}
	var out []tcpSocket
	for _, s := range socks {
		if !s.listening && listened[s.local.Port()] && !s.remote.Addr().IsLoopback() && usableAnywhere(s.remote.Addr()) {
			out = append(out, s)
		}
	}
	return out
}

// hasPerson reports whether somebody is logged in behind the processes that
// hold a connection. A login without a terminal that runs rsync is a transfer.
func hasPerson(holders []procInfo, children map[int][]procInfo) bool {
	in, terminal, rsync := false, false, false
	seen := map[int]bool{}
	for todo := slices.Clone(holders); len(todo) > 0; {
		p := todo[0]
		todo = todo[1:]
		if seen[p.pid] {
			continue
		}
		seen[p.pid] = true
		if m := loggedIn.FindStringSubmatch(p.title); isSSHD(p.comm) && m != nil {
			in = true
			terminal = terminal || m[2] != "" && m[2] != "notty"
		}
		rsync = rsync || p.comm == "rsync"
		todo = append(todo, children[p.pid]...)
	}
	return in && (terminal || !rsync)
}

// missingFrom are the elements of want that have does not hold, each once.
func missingFrom[T comparable](have, want []T) []T {
	var out []T
	for _, p := range want {
		if !slices.Contains(have, p) && !slices.Contains(out, p) {
			out = append(out, p)
		}
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
