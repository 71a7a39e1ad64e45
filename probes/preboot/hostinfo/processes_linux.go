package hostinfo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lifeline/probes/sshd"
)

// errHidden says that something of a process may not be looked at.
var errHidden = errors.New("not ours to look at: ask as root")

// Sessions lists the ssh sessions that people have on this host. An error says that sockets
// or processes may not be looked at.
func (Local) Sessions() (SSHSessions, error) {
	socks, err := tcpSockets()
	if err != nil {
		return SSHSessions{}, err
	}
	procs, err := processes()
	if err != nil {
		return SSHSessions{}, err
	}
	s := newSnapshot(procs, socks)
	var e SSHSessions
	e.Sessions, e.Ports = s.sessions()
	e.LeftOut = s.foreign()
	if n := hidden(procs); n > 0 {
		err := fmt.Errorf("the connections of %d sshd processes are %w", n, errHidden)
		if len(e.Sessions) == 0 {
			return SSHSessions{}, err
		}
		e.LeftOut = append([]string{err.Error()}, e.LeftOut...)
	}
	return e, nil
}

// tcpSockets lists listening and established sockets by sock_diag(7).
func tcpSockets() ([]tcpSocket, error) {
	var out []tcpSocket
	for _, f := range []uint8{unix.AF_INET, unix.AF_INET6} {
		list, err := Dump(func() ([]*netlink.Socket, error) { return netlink.SocketDiagTCP(f) })
		if err != nil {
			return nil, fmt.Errorf("list TCP sockets: %w", err)
		}
		for _, s := range list {
			local, ok := netip.AddrFromSlice(s.ID.Source)
			remote, ok2 := netip.AddrFromSlice(s.ID.Destination)
			if !ok || !ok2 || s.State != netlink.TCP_LISTEN && s.State != netlink.TCP_ESTABLISHED {
				continue
			}
			out = append(out, tcpSocket{
				local:     netip.AddrPortFrom(local.Unmap(), s.ID.SourcePort),
				remote:    netip.AddrPortFrom(remote.Unmap(), s.ID.DestinationPort),
				listening: s.State == netlink.TCP_LISTEN, inode: s.INode,
			})
		}
	}
	return out, nil
}

// maxListed bounds the processes whose sockets are listed though they are no part of
// the host's sshd, and someSockets what is listed of each: anybody may start any number,
// and have any number open.
const (
	maxListed   = 64
	someSockets = 256
	allSockets  = -1
)

// processes lists all processes; those that end meanwhile are left out. Of what is
// named sshd, and of who started root's sshd, it tells more.
func processes() ([]procInfo, error) {
	if _, err := os.Stat("/proc/1"); err != nil {
		return nil, fmt.Errorf("processes of others are hidden (hidepid): ask as root: %w", err)
	}
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var out []procInfo
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + d.Name() + "/stat")
		if err != nil {
			continue
		}
		if p, ok := parseStat(string(stat)); ok {
			exe, _ := os.Readlink("/proc/" + d.Name() + "/exe") // unknown to who may not look: then the name has to do
			if sshd.Named(p.comm) || sshd.Named(filepath.Base(strings.TrimSuffix(exe, " (deleted)"))) {
				p.id, _ = sshd.Read("/proc", pid)
			}
			out = append(out, p)
		}
	}
	lookCloser(newSnapshot(out, nil))
	return out, nil
}

// lookCloser reads titles and sockets: of root's sshd and what that has forked, of who
// started it, and of some of those that only have the name.
func lookCloser(s *snapshot) {
	for i := range s.procs {
		if parent := s.byPID[s.procs[i].ppid]; s.procs[i].id.Server() && parent != nil && parent.id.PID == 0 {
			parent.id, _ = sshd.Read("/proc", parent.pid)
			parent.look(allSockets)
		}
	}
	for i, listed := 0, 0; i < len(s.procs); i++ {
		p := &s.procs[i]
		if !p.named() || p.id.PID == 0 {
			continue
		}
		if sshd.Belongs(s, p.pid) {
			p.readTitle()
			p.look(allSockets)
		} else if listed++; listed <= maxListed {
			p.look(someSockets)
		}
	}
}

// hidden counts the processes of root's that call themselves sshd and may not be
// looked at.
func hidden(procs []procInfo) int {
	n := 0
	for _, p := range procs {
		if p.named() && p.id.UIDs == [3]uint32{} && (p.hidden || p.id.Err != nil) {
			n++
		}
	}
	return n
}

// readTitle reads the command line of a part of the host's sshd.
func (p *procInfo) readTitle() {
	if line, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/cmdline"); err == nil {
		p.title = strings.TrimRight(strings.ReplaceAll(string(line), "\x00", " "), " ")
	}
}

// look lists the sockets among the first n of the descriptors of a process.
func (p *procInfo) look(n int) {
	dir, err := os.Open("/proc/" + strconv.Itoa(p.pid) + "/fd")
	if err != nil {
		p.hidden = errors.Is(err, fs.ErrPermission)
		return
	}
	defer dir.Close()
	fds, _ := dir.Readdirnames(n) // of one that ends there are none
	for _, fd := range fds {
		target, err := os.Readlink(dir.Name() + "/" + fd)
		if err != nil {
			continue
		}
		if in, found := strings.CutPrefix(target, "socket:["); found {
			if n, err := strconv.ParseUint(strings.TrimSuffix(in, "]"), 10, 32); err == nil {
				p.sockets = append(p.sockets, uint32(n))
			}
		}
	}
}

// SSHD asks sshd itself, else its files.
func (Local) SSHD() ([]netip.AddrPort, string) {
	if sshd := FindProgram("sshd"); sshd != "" && os.Geteuid() == 0 {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, sshd, "-T")
		cmd.Env = []string{"LC_ALL=C"}
		if out, err := cmd.Output(); err == nil {
			var c sshdConfig
			c.parse(string(out))
			if at := c.listens(); len(at) > 0 {
				return at, "sshd -T"
			}
		}
	}
	var c sshdConfig
	c.read(os.DirFS("/"), "/etc/ssh/sshd_config", 0)
	if at := c.listens(); len(at) > 0 {
		return at, "/etc/ssh/sshd_config"
	}
	return nil, "ssh's own default"
}
