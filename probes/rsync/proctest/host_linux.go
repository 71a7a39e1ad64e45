// Package proctest is a host that a test makes up: a /proc tree of files, with the sockets
// and the owners of its processes beside it. It asserts nothing by itself, and knows only
// what the packages of the rsync probe read of /proc.
package proctest

import (
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"lifeline/probes/rsync/proc"
	"lifeline/probes/rsync/sockets"
	"lifeline/probes/sshd"
	"lifeline/watchdog"
)

// Host is a /proc tree that a test makes up. Processes are given from the
// oldest to the youngest.
type Host struct {
	T          *testing.T
	Root       string
	Sockets    map[uint64]sockets.Info
	Denied     map[uint64]error
	kids       map[int][]string
	Identities map[int]sshd.Identity
	Asked      int // sockets that were looked at
}

// Process is one process of a host.
type Process struct {
	PID, PPID int
	Exe       string // base name; "-" for one that may not be read
	Comm      string // exe when empty
	Argv      string // by blanks; exe when empty
	Args      []string
	State     byte // 'S' when 0
	Tty       int
	Fds       string // "0=/dev/null 3=socket:[7]"
	cwd       string // "/" when empty
	netns     int    // 1 when 0
	Uid       uint32
}

// NewHost makes a host with some processes.
func NewHost(t *testing.T, procs ...Process) *Host {
	h := &Host{T: t, Root: t.TempDir(), Sockets: map[uint64]sockets.Info{}, Denied: map[uint64]error{}, kids: map[int][]string{}, Identities: map[int]sshd.Identity{}}
	for _, p := range procs {
		h.Add(p)
	}
	return h
}

// Write writes a file of the tree.
func (h *Host) Write(name, text string) {
	h.T.Helper()
	path := filepath.Join(h.Root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.T.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		h.T.Fatal(err)
	}
}

// Link makes a symbolic link in the tree, in place of what is there.
func (h *Host) Link(name, target string) {
	h.T.Helper()
	path := filepath.Join(h.Root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.T.Fatal(err)
	}
	os.Remove(path)
	if err := os.Symlink(target, path); err != nil {
		h.T.Fatal(err)
	}
}

// StartTime is the start time of a fake process: its pid times ten.
func StartTime(pid int) uint64 { return uint64(pid) * 10 }

// Add starts a process.
func (h *Host) Add(p Process) {
	h.T.Helper()
	if p.Comm == "" {
		p.Comm = p.Exe
	}
	if p.Argv == "" {
		p.Argv = p.Exe
	}
	if p.Args == nil {
		p.Args = strings.Fields(p.Argv)
	}
	if p.State == 0 {
		p.State = 'S'
	}
	if p.cwd == "" {
		p.cwd = "/"
	}
	if p.netns == 0 {
		p.netns = 1
	}
	h.Identities[p.PID] = identity(p)
	dir := strconv.Itoa(p.PID)
	h.Write(dir+"/stat", fmt.Sprintf("%d (%s) %c %d %d %d %d -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0\n",
		p.PID, p.Comm, p.State, p.PPID, p.PID, p.PID, p.Tty, StartTime(p.PID)))
	h.Write(dir+"/status", "Name:\tx\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t \n")
	h.Link(dir+"/ns/mnt", "mnt:[1]")
	h.Write(dir+"/cmdline", strings.Join(p.Args, "\x00")+"\x00")
	if p.Exe != "-" {
		h.Link(dir+"/exe", "/usr/bin/"+p.Exe)
	}
	h.Link(dir+"/cwd", p.cwd)
	h.Link(dir+"/root", "/")
	h.Link(dir+"/ns/net", fmt.Sprintf("net:[%d]", p.netns))
	h.Write(dir+"/task/"+dir+"/children", "")
	if err := os.MkdirAll(filepath.Join(h.Root, dir, "fd"), 0o755); err != nil {
		h.T.Fatal(err)
	}
	for _, f := range strings.Fields(p.Fds) {
		num, target, _ := strings.Cut(f, "=")
		h.Link(dir+"/fd/"+num, target)
		h.Write(dir+"/fdinfo/"+num, "pos:\t0\nflags:\t0100000\n")
	}
	h.kids[p.PPID] = append(h.kids[p.PPID], dir)
	if _, err := os.Stat(filepath.Join(h.Root, strconv.Itoa(p.PPID))); err == nil {
		parent := strconv.Itoa(p.PPID)
		h.Write(parent+"/task/"+parent+"/children", strings.Join(h.kids[p.PPID], " "))
	}
}

// identity is who a fake process is: programs are root's files, each one by its name.
func identity(p Process) sshd.Identity {
	id := sshd.Identity{PID: p.PID, Parent: p.PPID, UIDs: [3]uint32{p.Uid, p.Uid, p.Uid}}
	if p.Exe == "-" {
		id.Err = fs.ErrPermission
		return id
	}
	id.Exe = sshd.File{Name: proc.BaseName(p.Exe), Dev: 1, Guarded: true}
	for _, c := range []byte(p.Exe) {
		id.Exe.Inode = id.Exe.Inode*31 + uint64(c)
	}
	return id
}

// Identify tells who a process of the host is (proctable.Table.ReadIdentity).
func (h *Host) Identify(pid int) (sshd.Identity, error) {
	id, ok := h.Identities[pid]
	if !ok {
		return id, sshd.ErrGone
	}
	return id, nil
}

// Conn makes a TCP connection of a socket.
func (h *Host) Conn(inode uint64, local, remote string) {
	h.Sockets[inode] = sockets.Info{
		Kind: sockets.TCPConnected, Netns: 1,
		Local: netip.MustParseAddrPort(local), Remote: netip.MustParseAddrPort(remote),
	}
}

// Listen makes a socket listen.
func (h *Host) Listen(inode uint64, local string) {
	h.Sockets[inode] = sockets.Info{Kind: sockets.TCPListening, Netns: 1, Local: netip.MustParseAddrPort(local)}
}

// Unix makes a unix socket of an inode; listening when peer is "-".
func (h *Host) Unix(inode uint64, path, peer string) {
	info := sockets.Info{Kind: sockets.UnixStream, Path: path, Peer: peer}
	if peer == "-" {
		info = sockets.Info{Kind: sockets.UnixListening, Path: path}
	}
	h.Sockets[inode] = info
}

// Inspect implements Inspector.
func (h *Host) Inspect(ref watchdog.FDRef, inode uint64) (sockets.Info, error) {
	h.Asked++
	if ref.Proc.Start != StartTime(ref.Proc.PID) {
		return sockets.Info{}, fmt.Errorf("pid %v: %w", ref.Proc, proc.ErrGone)
	}
	return h.Sockets[inode], h.Denied[inode]
}

// Argument vectors as OpenSSH and rsync make them.
const (
	Push   = "rsync --server -logDtpre.iLsfxCIvu . /backup/"
	Pull   = "rsync --server --sender -logDtpre.iLsfxCIvu . /data/"
	Rsyncd = "rsync --daemon"
)

// Remove ends a process.
func (h *Host) Remove(pid int) {
	h.T.Helper()
	if err := os.RemoveAll(filepath.Join(h.Root, strconv.Itoa(pid))); err != nil {
		h.T.Fatal(err)
	}
}
