package rsync

import (
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"lifeline/probes/sshd"
	"lifeline/watchdog"
)

// host is a /proc tree that a test makes up. Processes are given from the
// oldest to the youngest.
type host struct {
	t       *testing.T
	root    string
	sockets map[uint64]socketInfo
	denied  map[uint64]error
	kids    map[int][]string
	who     map[int]sshd.Identity
	asked   int // sockets that were looked at
}

// fake is one process of a host.
type fake struct {
	pid, ppid int
	exe       string // base name; "-" for one that may not be read
	comm      string // exe when empty
	argv      string // by blanks; exe when empty
	args      []string
	state     byte // 'S' when 0
	tty       int
	fds       string // "0=/dev/null 3=socket:[7]"
	cwd       string // "/" when empty
	netns     int    // 1 when 0
	uid       uint32
}

func newHost(t *testing.T, procs ...fake) *host {
	h := &host{t: t, root: t.TempDir(), sockets: map[uint64]socketInfo{}, denied: map[uint64]error{}, kids: map[int][]string{}, who: map[int]sshd.Identity{}}
	for _, p := range procs {
		h.add(p)
	}
	return h
}

func (h *host) write(name, text string) {
	h.t.Helper()
	path := filepath.Join(h.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) link(name, target string) {
	h.t.Helper()
	path := filepath.Join(h.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.t.Fatal(err)
	}
	os.Remove(path)
	if err := os.Symlink(target, path); err != nil {
		h.t.Fatal(err)
	}
}

// start is the start time of a fake process: its pid times ten.
func start(pid int) uint64 { return uint64(pid) * 10 }

func (h *host) add(p fake) {
	h.t.Helper()
	if p.comm == "" {
		p.comm = p.exe
	}
	if p.argv == "" {
		p.argv = p.exe
	}
	if p.args == nil {
		p.args = strings.Fields(p.argv)
	}
	if p.state == 0 {
		p.state = 'S'
	}
	if p.cwd == "" {
		p.cwd = "/"
	}
	if p.netns == 0 {
		p.netns = 1
	}
	h.who[p.pid] = identity(p)
	dir := strconv.Itoa(p.pid)
	h.write(dir+"/stat", fmt.Sprintf("%d (%s) %c %d %d %d %d -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0\n",
		p.pid, p.comm, p.state, p.ppid, p.pid, p.pid, p.tty, start(p.pid)))
	h.write(dir+"/status", "Name:\tx\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t \n")
	h.link(dir+"/ns/mnt", "mnt:[1]")
	h.write(dir+"/cmdline", strings.Join(p.args, "\x00")+"\x00")
	if p.exe != "-" {
		h.link(dir+"/exe", "/usr/bin/"+p.exe)
	}
	h.link(dir+"/cwd", p.cwd)
	h.link(dir+"/root", "/")
	h.link(dir+"/ns/net", fmt.Sprintf("net:[%d]", p.netns))
	h.write(dir+"/task/"+dir+"/children", "")
	if err := os.MkdirAll(filepath.Join(h.root, dir, "fd"), 0o755); err != nil {
		h.t.Fatal(err)
	}
	for _, f := range strings.Fields(p.fds) {
		num, target, _ := strings.Cut(f, "=")
		h.link(dir+"/fd/"+num, target)
		h.write(dir+"/fdinfo/"+num, "pos:\t0\nflags:\t0100000\n")
	}
	h.kids[p.ppid] = append(h.kids[p.ppid], dir)
	if _, err := os.Stat(filepath.Join(h.root, strconv.Itoa(p.ppid))); err == nil {
		parent := strconv.Itoa(p.ppid)
		h.write(parent+"/task/"+parent+"/children", strings.Join(h.kids[p.ppid], " "))
	}
}

// identity is who a fake process is: programs are root's files, each one by its name.
func identity(p fake) sshd.Identity {
	id := sshd.Identity{PID: p.pid, Parent: p.ppid, UIDs: [3]uint32{p.uid, p.uid, p.uid}}
	if p.exe == "-" {
		id.Err = fs.ErrPermission
		return id
	}
	id.Exe = sshd.File{Name: baseName(p.exe), Dev: 1, Guarded: true}
	for _, c := range []byte(p.exe) {
		id.Exe.Inode = id.Exe.Inode*31 + uint64(c)
	}
	return id
}

// identify is what a scanner of the host asks.
func (h *host) identify(pid int) (sshd.Identity, error) {
	id, ok := h.who[pid]
	if !ok {
		return id, sshd.ErrGone
	}
	return id, nil
}

// conn makes a TCP connection of a socket.
func (h *host) conn(inode uint64, local, remote string) {
	h.sockets[inode] = socketInfo{
		Kind: tcpConnected, Netns: 1,
		Local: netip.MustParseAddrPort(local), Remote: netip.MustParseAddrPort(remote),
	}
}

// listen makes a socket listen.
func (h *host) listen(inode uint64, local string) {
	h.sockets[inode] = socketInfo{Kind: tcpListening, Netns: 1, Local: netip.MustParseAddrPort(local)}
}

// unix makes a unix socket of an inode; listening when peer is "-".
func (h *host) unix(inode uint64, path, peer string) {
	info := socketInfo{Kind: unixStream, Path: path, Peer: peer}
	if peer == "-" {
		info = socketInfo{Kind: unixListening, Path: path}
	}
	h.sockets[inode] = info
}

// inspect implements inspector.
func (h *host) inspect(ref watchdog.FDRef, inode uint64) (socketInfo, error) {
	h.asked++
	if ref.Proc.Start != start(ref.Proc.PID) {
		return socketInfo{}, fmt.Errorf("pid %v: %w", ref.Proc, errGone)
	}
	return h.sockets[inode], h.denied[inode]
}

// group finds all transfers of the host, as a first pass does.
func (h *host) group() ([]*found, []*process) {
	h.t.Helper()
	s := newScanner(procFS{root: h.root}, h)
	s.who = h.identify
	s.begin(time.Unix(1000, 0))
	pids, err := s.proc.pids()
	if err != nil {
		h.t.Fatal(err)
	}
	for _, pid := range pids {
		if isRsync(s.proc.exe(pid)) || s.proc.exe(pid) == "" {
			s.rsyncs[pid] = struct{}{}
		}
	}
	return group(s, s.running())
}

// summary is a found transfer in one line, for comparison.
func (f *found) summary() string {
	pids := func(list []*process) string {
		var out []string
		for _, p := range list {
			out = append(out, strconv.Itoa(p.ID.PID))
		}
		return strings.Join(out, ",")
	}
	sends := "?"
	if f.argv != nil {
		sends = direction(*f.argv).String()
	}
	var refs []string
	for _, r := range f.socket.Refs {
		refs = append(refs, fmt.Sprintf("%d:%d", r.Proc.PID, r.FD))
	}
	control, why := f.control()
	line := fmt.Sprintf("%s %s %s [%s]", f.id, f.via, sends, pids(f.members))
	if len(f.parents) > 0 {
		line += " under " + pids(f.parents)
	}
	if len(refs) > 0 {
		line += " by " + strings.Join(refs, ",")
	}
	if f.pair {
		line += " pair"
	}
	line += " " + string(control)
	if why != "" {
		line += ": " + why
	}
	return line
}
