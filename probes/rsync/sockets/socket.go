package sockets

import (
	"net/netip"
	"strings"

	"lifeline/probes/rsync/proc"
	"lifeline/watchdog"
)

// Kind is what a socket is, as far as it matters here.
type Kind uint8

const (
	Other Kind = iota
	Idle       // neither connected nor listening, so far
	TCPConnected
	TCPListening
	UnixStream    // connected
	UnixListening // has a Path
)

// Info is what the kernel tells of one socket.
type Info struct {
	Kind          Kind
	Local, Remote netip.AddrPort // TCP
	Path, Peer    string         // unix: own and the other end's address, "" for unnamed
	Netns         uint64         // inode of the namespace that it belongs to; 0 when unknown
	Cookie        uint64         // SO_COOKIE of a TCP connection; 0 when unknown
	OutOfReach    error          // why it cannot be duplicated
}

// Inspector looks at a socket of another process. The inode is checked on the
// duplicate, which is closed before it returns.
type Inspector interface {
	Inspect(ref watchdog.FDRef, inode uint64) (Info, error)
}

// Held is one socket that a process holds.
type Held struct {
	FD    int
	Inode uint64
	Info
}

// ref is where a process has the socket.
func (s Held) ref(p *proc.Process) watchdog.FDRef { return watchdog.FDRef{Proc: p.ID, FD: s.FD} }

// IsAgentPath tells the socket of a forwarded ssh agent, which many clients
// ask for without a person behind it (OpenSSH: session.c, since 10.1 misc-agent.c).
func IsAgentPath(path string) bool {
	dir, base, ok := cutLast(path, '/')
	return ok && ((strings.HasPrefix(base, "agent.") && strings.Contains(dir, "/ssh-")) ||
		(strings.HasSuffix(dir, "/.ssh/agent") && strings.HasPrefix(base, "s.")))
}

// systemSockets are where a login's own libraries connect to (PAM, NSS, syslog).
var systemSockets = []string{
	"/run/dbus/", "/var/run/dbus/", "/run/systemd/", "/dev/log", "/run/nscd/", "/var/run/nscd/",
	"/var/lib/sss/", "/run/samba/", "/run/winbindd/",
}

// IsSystemPath tells such a connection from a forwarded one.
func IsSystemPath(path string) bool {
	for _, prefix := range systemSockets {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

// cutLast is strings.Cut at the last separator.
func cutLast(s string, sep byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}
