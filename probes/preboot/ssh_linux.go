package preboot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func (thisHost) sessions() ([]session, []uint16, error) {
	socks, err := tcpSockets()
	if err != nil {
		return nil, nil, err
	}
	procs, err := processes()
	if err != nil {
		return nil, nil, err
	}
	list, ports := peopleSessions(procs, socks)
	if n := hidden(procs); n > 0 && len(list) == 0 {
		return nil, nil, fmt.Errorf("the sockets of %d sshd processes are not ours to look at: ask as root", n)
	}
	return list, ports, nil
}

// tcpSockets lists listening and established sockets by sock_diag(7).
func tcpSockets() ([]tcpSocket, error) {
	var out []tcpSocket
	for _, f := range []uint8{unix.AF_INET, unix.AF_INET6} {
		list, err := dump(func() ([]*netlink.Socket, error) { return netlink.SocketDiagTCP(f) })
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

// processes lists all processes; those that end meanwhile are left out.
func processes() ([]procInfo, error) {
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
		p, ok := readProcess(pid)
		if ok {
			out = append(out, p)
		}
	}
	return out, nil
}

// hidden counts the processes whose sockets could not be seen.
func hidden(procs []procInfo) int {
	n := 0
	for _, p := range procs {
		if p.hidden {
			n++
		}
	}
	return n
}

func readProcess(pid int) (procInfo, bool) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return procInfo{}, false
	}
	p, ok := parseStat(string(stat))
	if !ok || !isSSHD(p.comm) {
		return p, ok
	}
	if line, err := os.ReadFile(dir + "/cmdline"); err == nil {
		p.title = strings.TrimRight(strings.ReplaceAll(string(line), "\x00", " "), " ")
	}
	fds, err := os.ReadDir(dir + "/fd")
	if err != nil {
		p.hidden = errors.Is(err, fs.ErrPermission)
		return p, true
	}
	for _, fd := range fds {
		target, err := os.Readlink(dir + "/fd/" + fd.Name())
		if err != nil {
			continue
		}
		if in, found := strings.CutPrefix(target, "socket:["); found {
			if n, err := strconv.ParseUint(strings.TrimSuffix(in, "]"), 10, 32); err == nil {
				p.sockets = append(p.sockets, uint32(n))
			}
		}
	}
	return p, true
}

// sshd asks sshd itself, else its files.
func (thisHost) sshd() ([]netip.AddrPort, string) {
	if sshd := findTool("sshd"); sshd != "" && os.Geteuid() == 0 {
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
